"""The model slice's SQL, a module an object."""
