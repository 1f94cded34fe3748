"""The registry over HTTP: one app per protocol.

    pages/app.py       /  /artifacts/…                                     HTML pages
    oci/app.py         /v2/…                                               OCI distribution 1.1
    channels_app.py    /channels/…  /evidence/…                            JSON
    index/app.py       /simple/…  /files/…  /integrity/…  /legacy/  /_/…   the package index

Each protocol is a Starlette app in a function `…_app`, made of its routes and its ``exception_handlers``. Its endpoints
raise `chainlab.errors.ChainlabError`; the app's handler is the only place that turns one into a response. A new
protocol adds its app to the tuple in `routes`.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from chainlab.protocol import ProtocolRoute
from chainlab.registry.channels_app import channels_app
from chainlab.registry.index.app import index_app
from chainlab.registry.oci.app import oci_app
from chainlab.registry.pages.app import pages_app
from chainlab.registry.registry import Registry

__all__ = ["routes"]


def routes(registry: Registry) -> list[BaseRoute]:
    """One route per protocol; each protocol refuses in its own shape."""
    apps = (
        pages_app(registry),
        oci_app(registry.images, registry.uploads, registry.access),
        channels_app(registry),
        index_app(registry.index),
    )
    return [ProtocolRoute(app) for app in apps]
