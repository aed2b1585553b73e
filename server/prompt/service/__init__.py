"""The prompt slice's use cases."""
