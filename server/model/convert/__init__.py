"""Between the model slice's protos and its domain, a module an object."""
