"""The log monitor: watches transparency logs from outside, for rewritten history and for identities."""
