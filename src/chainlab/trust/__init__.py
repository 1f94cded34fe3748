"""A private Sigstore instance: OIDC issuer, CA, CT log, transparency logs, timestamp authority.

Unmodified clients sign and verify with it. It is a teaching instance: it listens only on loopback, and whoever has its
state directory can mint any identity.
"""
