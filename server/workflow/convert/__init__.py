"""The workflow slice's objects, as the API has them."""
