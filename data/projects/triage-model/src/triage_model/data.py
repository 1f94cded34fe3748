"""The Wisconsin diagnostic data set: 569 cases of one centre, 30 measurements each.

It ships inside scikit-learn; `artifacts.toml` says which bytes we mean.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from acme_cells import FEATURES
from sklearn import datasets
from sklearn.model_selection import train_test_split

SHA256 = "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed"  # of the CSV file


@dataclass(frozen=True)
class Split:
    """Training and test part; arrays are float64, labels are 1 for malignant."""

    x_train: np.ndarray
    x_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


def digest() -> str:
    """SHA-256, in hex, of the data file that scikit-learn brings along."""
    path = Path(datasets.__file__).parent / "data" / "breast_cancer.csv"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(test_size: float = 0.3, seed: int = 904) -> Split:
    """Read the data and split it, the same way every time.

    Raises `ValueError` if its columns are not the measurements that we serve, in that order.
    """
    bunch = datasets.load_breast_cancer()
    if tuple(bunch.feature_names) != FEATURES:
        raise ValueError("the data set's columns have other names or another order")
    malignant = 1 - bunch.target  # scikit-learn's 1 is benign
    x_train, x_test, y_train, y_test = train_test_split(
        bunch.data, malignant, test_size=test_size, random_state=seed, stratify=malignant
    )
    return Split(x_train, x_test, y_train, y_test)
