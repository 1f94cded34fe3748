"""Deployment: the only way to prod, and the prediction service that runs there."""
