"""Week 5, monitoring."""
