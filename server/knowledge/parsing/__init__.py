"""Documents as text with structure, a module a type. To see which type one is of loads none of those."""
