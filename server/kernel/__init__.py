"""The pure vocabulary that every other package speaks: errors, principal, permissions, ids, clock, pages. No I/O."""
