"""Work that would hold up the calls of others, done in processes of its own, within bounds. Knows no slice."""
