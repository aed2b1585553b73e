"""Amounts as texts."""

from __future__ import annotations

from decimal import Decimal


def decimal_text(amount: Decimal) -> str:
    """Without an exponent and without trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
