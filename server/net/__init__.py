"""The way out: which addresses the server calls for tenants, and how it reaches them."""
