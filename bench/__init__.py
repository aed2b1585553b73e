"""Measurements: `make bench`, or `make bench ONLY=name`. README.md beside this file says what each means."""
