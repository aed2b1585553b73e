"""People, their roles and their sessions. Not the tenants they belong to, nor what the permissions protect."""
