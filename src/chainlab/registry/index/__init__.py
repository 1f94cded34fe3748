"""The package index: projects, uploads and their attestations, over HTTP as PEP 503, 691 and 740 say."""
