"""Ask a model about one wine.

cultivar cultivar.pkl 14.2 1.7 2.4 15.6 127 2.8 3.1 0.28 2.3 5.6 1.04 3.9 1065
"""

import argparse
import pickle
import sys
from pathlib import Path

import numpy as np


def load(path: Path) -> dict[str, np.ndarray]:
    """The model in a file. Loading a pickle runs what is in it."""
    return pickle.loads(path.read_bytes())


def nearest(model: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The cultivar whose centre is nearest, for each row of ``x``."""
    units = (np.atleast_2d(x) - model["mean"]) / model["scale"]
    return ((units[:, None, :] - model["centres"]) ** 2).sum(axis=2).argmin(axis=1)


def main(argv: list[str] | None = None) -> int:
    """Print a number from 0 to 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("measurements", type=float, nargs=13)
    args = parser.parse_args(argv)
    print(nearest(load(args.model), np.array(args.measurements))[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
