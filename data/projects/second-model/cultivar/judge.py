"""Judge a model on the wines that it did not learn from; a poor one fails the build.

python -m cultivar.judge cultivar.pkl --least 0.95
"""

import argparse
import sys
from pathlib import Path

from cultivar import answer, wines

LEAST = 0.95  # share of wines whose cultivar is right


def accuracy(model: dict) -> float:
    """Share of the held-out wines that it gets right, rounded to 4 decimals."""
    x, y = wines.load(held_out=True)
    return round(float((answer.nearest(model, x) == y).mean()), 4)


def main(argv: list[str] | None = None) -> int:
    """Print the accuracy; exit 1 below the threshold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--least", type=float, default=LEAST)
    args = parser.parse_args(argv)
    found = accuracy(answer.load(args.model))
    print(f"accuracy {found}")
    if found < args.least:
        print(f"refused: below {args.least}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
