"""The suite runs without a network: whatever leaves loopback fails, in this process and its children."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

ELSEWHERE = "192.0.2.1"  # RFC 5737: reserved for documentation, nobody's
CONNECT = f"import socket; socket.create_connection(('{ELSEWHERE}', 80), timeout=5)"


def test_no_connection_leaves_this_machine() -> None:
    with pytest.raises(OSError, match=r"unreachable|offline"):
        socket.create_connection((ELSEWHERE, 80), timeout=5)


def test_no_connection_of_a_child_leaves_this_machine() -> None:
    run = subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "unreachable" in run.stderr or "offline" in run.stderr


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_no_setting_of_a_package_client_reaches_a_test() -> None:
    left = {name for name in os.environ if name.upper().startswith(("PIP_", "UV_"))}
    assert left <= {"PIP_CONFIG_FILE", "UV_NO_CONFIG"}
    assert [name for name in os.environ if name.upper().endswith("_PROXY")] == []
