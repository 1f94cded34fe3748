"""Rego: the rules of a policy, evaluated by a process of its own.

`rego_process` is its program, `rego_client` asks it.
"""
