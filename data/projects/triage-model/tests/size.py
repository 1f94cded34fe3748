"""Prints how many lines of Python the project has, and the size of each wheel in ``dist``."""

from pathlib import Path

print(sum(len(p.read_text().splitlines()) for p in Path().rglob("*.py")), "lines")
for wheel in sorted(Path("dist").glob("*.whl")):
    print(wheel.name, wheel.stat().st_size, "bytes")
