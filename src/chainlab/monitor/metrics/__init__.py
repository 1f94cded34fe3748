"""Metrics: the numbers on `/metrics`, and Prometheus' alert rules about them."""
