"""What the workflow slice does."""
