"""The audit slice's SQL, a module an object."""
