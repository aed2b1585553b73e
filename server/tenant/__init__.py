"""Tenants and their settings. Not the people in them, nor what they do: those are the other slices'."""
