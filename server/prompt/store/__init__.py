"""The prompt slice's SQL."""
