"""The tests; helpers are imported from here as `tests.…`."""
