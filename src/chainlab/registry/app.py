"""The registry over HTTP: index, OCI, channels, evidence and the pages, one list of routes."""

from __future__ import annotations

from starlette.routing import BaseRoute

from chainlab.registry.channels_app import channel_routes
from chainlab.registry.index.app import index_routes
from chainlab.registry.oci.app import oci_routes
from chainlab.registry.pages.app import page_routes
from chainlab.registry.registry import Registry

__all__ = ["routes"]


def routes(registry: Registry) -> list[BaseRoute]:
    """Every endpoint; each answers refusals in its protocol's own shape."""
    return [
        *page_routes(registry),
        *oci_routes(registry.images, registry.uploads, registry.access),
        *channel_routes(registry),
        *index_routes(registry.index),
    ]
