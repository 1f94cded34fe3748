"""An audit hook (PEP 578) that refuses every connection that leaves this machine.

Second choice, for machines without network namespaces: it binds Python alone. With this folder on
``PYTHONPATH`` the Pythons that a test starts (kernels, command lines) load it too; a browser or
Node.js does not, and the test report says so.
"""

from __future__ import annotations

import ipaddress
import sys
from typing import Any


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    if host in ("", "localhost") or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_remote(event: str, arguments: tuple[Any, ...]) -> None:
    """The hook: looks at connections, datagrams and name look-ups."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
    elif event == "socket.getaddrinfo":
        address = (arguments[0],)
    else:
        return
    host = address[0] if isinstance(address, tuple) else ""  # a str is a Unix socket
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is not None and not is_loopback(host):
        raise PermissionError(f"the tests run offline; this would have left the machine: {address}")


sys.addaudithook(refuse_remote)
