"""The knowledge slice's SQL."""
