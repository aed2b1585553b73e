"""Atrium: the multi-tenant backend of an AI product, over gRPC."""
