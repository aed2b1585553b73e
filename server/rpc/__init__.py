"""The transport: how a call travels from the socket to a servicer and back. Knows no slice."""
