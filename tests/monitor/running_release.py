"""A release that really runs: its service is Python's own HTTP server, so that it is installed in a second."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gate_stack import ADVISORIES, POLICIES, GateStack
from release_maker import REPOSITORY, ReleaseMaker, apart, wheelhouse

from chainlab.deploy.deployment import Deployment
from chainlab.event_types import EVENT_TYPES
from chainlab.events import PREFIX
from chainlab.policy.gate import Gate
from chainlab.registry.app import routes
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.registry import Registry
from chainlab.services import Server
from chainlab.trust.client import Trust

USED = ("acme_cells-1.2.0-py3-none-any.whl", "acme_quantise-1.0.3-py3-none-any.whl")
SERVE = """
import hashlib, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

content = Path(sys.argv[1]).read_bytes()
LOAD

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        SERVING
        body = json.dumps({"sha256": hashlib.sha256(content).hexdigest()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{service.server_port}/predict", flush=True)
service.serve_forever()
"""


def service_wheel(load: str = "", serving: str = "pass") -> bytes:
    """The wheel of a service that runs ``load`` when it has read its model, and ``serving`` for each request."""
    info = "triage_model-1.4.0.dist-info"
    members = {
        "triage_model/__init__.py": "",
        "triage_model/serve.py": SERVE.replace("LOAD", load).replace("SERVING", serving),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: triage-model\nVersion: 1.4.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_hashed(text)},{len(text)}\n" for path, text in members.items()]
    members[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def _hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Production(GateStack):
    """A stack whose index is served, with one deployment."""

    deployment: Deployment
    database: Path

    def release(self, load: str = "", serving: str = "pass") -> str:
        """Release and promote a service; returns its reference."""
        parts = apart(self.maker.parts(used=USED, wheel=service_wheel(load, serving)))
        reference = self.maker.push(parts, name=f"{REPOSITORY}/release")
        self.deployment.promote(reference)
        return reference

    def events(self, type: str) -> list[dict[str, Any]]:
        """The data of every event of a type, which has the fields that `EVENT_TYPES` lists."""
        found = [dict(event.data) for event in self.registry.events.read(PREFIX + type)]
        for data in found:
            assert set(data) == set(EVENT_TYPES[type].fields)
        return found


@contextmanager
def production(folder: Path) -> Iterator[Production]:
    """A production in an empty folder; its service ends with it."""
    for name in ("trust", "wheels"):
        (folder / name).mkdir(mode=0o700)
    times = wheelhouse(folder / "wheels")
    trust = Trust(folder / "trust")
    database = folder / "trust" / "state.db"
    upstream = Upstream(folder / "wheels", times)
    with (
        Registry(folder / "registry", database, upstream=upstream, trust=trust) as registry,
        Server(folder / "trust", routes=lambda: routes(registry)),
    ):
        stack = GateStack(registry, trust, ReleaseMaker(registry, trust), Gate(registry, trust, POLICIES, ADVISORIES))
        with stack.deploying(folder) as deployment:
            try:
                yield Production(registry, trust, stack.maker, stack.gate, deployment, database)
            finally:
                deployment.stop()
