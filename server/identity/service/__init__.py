"""The identity slice's use cases, a module an object."""
