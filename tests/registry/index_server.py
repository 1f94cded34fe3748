"""Serves an index over the folder it is given until it is killed; prints its address and a secret."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from served_index import listener, open_index, serve

from chainlab.protocol import ProtocolRoute
from chainlab.registry.index.app import index_app

if __name__ == "__main__":
    index, _ = open_index(Path(sys.argv[1]))
    bound = listener()
    serve([ProtocolRoute(index_app(index))], bound)
    secret = index.credentials.issue("acme", ["packages:upload:*"])
    print(f"http://127.0.0.1:{bound.getsockname()[1]} {secret}", flush=True)
    time.sleep(600)
