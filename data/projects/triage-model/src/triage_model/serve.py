"""A tiny prediction service on loopback.

    python -m triage_model.serve models/triage.onnx --port 8904

``GET /model`` answers the model's SHA-256; ``POST /predict`` takes ``{"cases": [[30 numbers], …]}``,
or each case as names to numbers, and answers ``{"malignant": [probability, …]}``. A body it cannot
read gets 400 and changes nothing.
"""

import argparse
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime
from acme_cells import FEATURES, validate

MAX_BYTES = 2**20  # of a request's body


class Model:
    """A loaded model, the digest of its bytes, and its answers."""

    def __init__(self, content: bytes) -> None:
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        self.features = FEATURES[: self.session.get_inputs()[0].shape[1]]

    def malignant(self, cases: object) -> list[float]:
        """Probabilities, rounded to 6 decimals. Raises `ValueError` for anything else."""
        if not isinstance(cases, list) or not cases:
            raise ValueError("cases must be a list of at least one case")
        x = np.array([validate(case, self.features) for case in cases], dtype=np.float32)
        return [round(float(p), 6) for p in self.session.run(["probabilities"], {"X": x})[0][:, 1]]


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON; says nothing on the console."""

    server: "Service"

    def log_message(self, *args: object) -> None:
        """Stay quiet."""

    def answer(self, status: int, body: dict[str, object]) -> None:
        """Send one JSON document."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        """Which bytes are being served?"""
        if self.path == "/model":
            self.answer(200, {"sha256": self.server.model.sha256})
        else:
            self.answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Predict."""
        if self.path != "/predict":
            return self.answer(404, {"error": "not found"})
        try:
            size = int(self.headers.get("Content-Length", ""))
            if not 0 <= size <= MAX_BYTES:
                raise ValueError(f"a body has at most {MAX_BYTES} bytes")
            request = json.loads(self.rfile.read(size))
            if not isinstance(request, dict) or "cases" not in request:
                raise ValueError('expected {"cases": […]}')
            return self.answer(200, {"malignant": self.server.model.malignant(request["cases"])})
        except ValueError as err:
            return self.answer(400, {"error": str(err)})


class Service(ThreadingHTTPServer):
    """Listens on loopback only; ``port=0`` takes a free one."""

    daemon_threads = True

    def __init__(self, model: Model, port: int = 0) -> None:
        self.model = model
        super().__init__(("127.0.0.1", port), Handler)


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args(argv)
    with Service(Model(args.model.read_bytes()), args.port) as service:
        print(f"http://127.0.0.1:{service.server_port}/predict", flush=True)
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
