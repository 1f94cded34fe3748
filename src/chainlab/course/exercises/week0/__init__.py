"""Week 0, on-ramp: one exercise a primer."""
