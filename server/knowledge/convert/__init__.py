"""The knowledge slice's objects, as the API has them."""
