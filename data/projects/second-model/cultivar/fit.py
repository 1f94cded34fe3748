"""Learn the three centres and pickle them.

python -m cultivar.fit --out cultivar.pkl
"""

import argparse
import pickle
import sys
from pathlib import Path

import numpy as np
from acme_quantise import quantise

from cultivar import wines

DECIMALS = 3


def fit() -> dict[str, np.ndarray]:
    """Mean and scale of each measurement, and the centre of each cultivar in those units."""
    x, y = wines.load(held_out=False)
    mean, scale = quantise(x.mean(axis=0), DECIMALS), quantise(x.std(axis=0), DECIMALS)
    units = (x - mean) / scale
    centres = [units[y == cultivar].mean(axis=0) for cultivar in range(3)]
    return {"mean": mean, "scale": scale, "centres": quantise(centres, DECIMALS)}


def main(argv: list[str] | None = None) -> int:
    """Write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("cultivar.pkl"))
    args = parser.parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(pickle.dumps(fit(), protocol=5))
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
