"""Deployment: the only way to prod, and the service that runs there."""
