"""What the `atrium` command ends with, where it cannot do what it was asked for."""

from __future__ import annotations


class CommandRefused(Exception):
    """The message says to whoever gave the command why it is not done, and what to do about it."""
