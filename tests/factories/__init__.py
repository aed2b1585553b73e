"""Makes what tests need, through the API that users have."""
