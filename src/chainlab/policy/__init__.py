"""The gate: what Python verified, Rego decides, and a signed summary says."""
