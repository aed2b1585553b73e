"""Models as the slices see them: one port for chat and one for embeddings, and an adapter for each way to reach one."""
