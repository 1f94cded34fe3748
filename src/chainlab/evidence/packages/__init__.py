"""Python packages: names, versions, metadata, dependencies, and what is inside a wheel."""
