"""Rego rules, evaluated in a process of their own."""
