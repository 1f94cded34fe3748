"""OCI repositories: manifests, tags, blobs and referrers, over HTTP as OCI distribution 1.1 says."""
