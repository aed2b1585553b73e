"""The knowledge slice's use cases."""
