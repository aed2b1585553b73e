"""The workflow slice in the database."""
