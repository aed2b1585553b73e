"""The audit slice's use cases."""
