"""The identity slice's SQL, a module an object."""
