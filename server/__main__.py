"""`python -m server`: the same as `atrium`."""

from server.cli import app

app()
