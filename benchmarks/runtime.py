"""What the audit hook costs: requests to the course's service, with the hook and without it, by turns.

Both services run in one environment, from the same files and model. Each round sends the same predictions to both; a
request opens a connection of its own, as a client without a pool does.

    python benchmarks/runtime.py --rounds 10 --requests 200
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chainlab.deploy.prediction_service import AUDIT_HOOK
from chainlab.workspace import course_root, wheelhouse

MODULE = "triage_model.serve"
BODY = json.dumps({"cases": [[1.0] * 30]})


def environment(folder: Path) -> Path:
    """An environment with the service and what it needs; its files are listed in ``files.json``."""
    root = course_root()
    uv = [str(Path(sys.prefix) / "bin" / "uv"), "--quiet", "--no-config", "--offline"]
    subprocess.run([*uv, "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    places = [f"--find-links={place}" for place in (wheelhouse(), root / "data" / "packages" / "wheels")]
    install = [*uv, "pip", "install", "--no-index", *places, "--python", str(python)]
    subprocess.run([*install, "onnxruntime", "acme-cells"], check=True)
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    shutil.copytree(root / "data/projects/triage-model/src/triage_model", site / "triage_model")
    shutil.copy(root / "data" / "models" / "triage.onnx", folder)
    files = {str(path.relative_to(folder)): "" for path in folder.rglob("*")}
    (folder / "files.json").write_text(json.dumps(files))
    return python


def start(command: list[str], folder: Path) -> tuple[subprocess.Popen[str], int, float]:
    """Start a service: its process, its port, and how many seconds it took to answer."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().split(":")[2].partition("/")[0])
    ask(port, 1)
    return process, port, time.perf_counter() - began


def ask(port: int, requests: int) -> float:
    """Seconds for some predictions."""
    began = time.perf_counter()
    for _ in range(requests):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/predict", BODY)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(answer.read().decode())
        answer.read()
        connection.close()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chainlab-bench-") as name:
        folder = Path(name)
        python = str(environment(folder))
        hook = [str(AUDIT_HOOK), "behaviour.jsonl", "files.json", "triage.onnx"]
        commands = {
            "without": [python, "-I", "-B", "-m", MODULE, "triage.onnx"],
            "with the hook": [python, "-I", "-S", "-B", *hook, MODULE, "triage.onnx"],
        }
        started = {kind: start(command, folder) for kind, command in commands.items()}
        try:
            lines = len((folder / "behaviour.jsonl").read_text().splitlines())
            seconds: dict[str, list[float]] = {kind: [] for kind in commands}
            for _ in range(chosen.rounds):
                for kind, (_, port, _) in started.items():
                    seconds[kind].append(ask(port, chosen.requests) / chosen.requests)
            more = len((folder / "behaviour.jsonl").read_text().splitlines()) - lines
        finally:
            for process, _, _ in started.values():
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
        for kind, values in seconds.items():
            median, best = statistics.median(values) * 1e6, min(values) * 1e6
            print(f"{kind:14} {median:6.0f} µs a request (fastest round {best:.0f} µs), start {started[kind][2]:.2f} s")
        print(f"lines of the report: {lines} before, {more} more while {chosen.rounds * chosen.requests} were served")


if __name__ == "__main__":
    main()
