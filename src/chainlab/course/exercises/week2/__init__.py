"""Week 2, hardening."""
