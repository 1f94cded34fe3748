"""Run a program, and end it when the process that started it is gone.

    python -I die_with_parent.py PROGRAM …    run as a file of its own

    stdin    a pipe that the starter holds open; it closes with the starter, however that ends
    exit     as the program's

A process that is killed can end nothing any more; its pipes are closed all the same.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Run the program until it ends or stdin does; returns its status."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # the program gets it too, and may take its time
    program = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def watch() -> None:
        sys.stdin.buffer.read()
        program.kill()

    threading.Thread(target=watch, daemon=True).start()
    return abs(program.wait())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
