"""Evidence by digest: what was attached here, bundles wherever they are kept, and all that is known about a digest."""
