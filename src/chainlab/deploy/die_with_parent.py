"""Run a program, and kill it when the process that started it is gone.

    python -I die_with_parent.py PROGRAM …    run as a file of its own

    stdin    a pipe that the starter holds open; it closes with the starter, however that ends
    exit     the program's exit status

A process that is killed cannot end its children, but the system still closes its pipes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

__all__ = ["main"]


def main(command: Sequence[str]) -> int:
    """Run the program until it ends or stdin closes; returns its status."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the program gets the signal too; wait until it has ended
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not by a buffer: Python would wait a second for it before it ends
            pass
        program.kill()

    threading.Thread(target=watch, daemon=True).start()
    return abs(program.wait())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
