"""What makes Atrium run with nothing else installed: PostgreSQL, a chat model and an embedding model out of wheels."""
