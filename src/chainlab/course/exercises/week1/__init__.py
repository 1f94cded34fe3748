"""Week 1, assessment."""
