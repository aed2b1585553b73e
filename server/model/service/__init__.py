"""The model slice's use cases, a module an object."""
