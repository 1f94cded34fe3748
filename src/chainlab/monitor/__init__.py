"""The monitor: events become alerts, logs are watched from outside, and a running service is verified again."""
