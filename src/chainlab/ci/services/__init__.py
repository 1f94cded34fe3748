"""The platform's services over HTTP: git, pull requests, caches and artifacts."""
