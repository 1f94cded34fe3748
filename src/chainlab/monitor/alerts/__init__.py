"""Alerts: what a person should look at, the book that keeps them, and a webhook that posts them."""
