"""Workflows: definitions of steps that need each other, their versions, and what executing them has come to."""
