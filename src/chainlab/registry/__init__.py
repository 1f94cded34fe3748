"""The registry: a package index, OCI repositories, channels and evidence. It stores and checks; it decides nothing.

`registry.Registry` composes the parts over one state directory; `app.routes` serves them.
"""
