"""How active_learner/datasets/digits.npz was made. Needs scikit-learn, which nothing else here does.

python -m active_learner.examples.make_digits FILE.npz
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

TRAIN_ROWS = 1200


def main(path: Path) -> None:
    try:
        digits = import_module("sklearn.datasets").load_digits()
    except ImportError:
        sys.exit("make_digits needs scikit-learn: pip install scikit-learn")
    order = np.random.default_rng(0).permutation(len(digits.target))
    pixels = (digits.data[order] / 16).astype(np.float32)
    classes = digits.target[order].astype(np.int64)
    np.savez_compressed(
        path,
        X_train=pixels[:TRAIN_ROWS],
        y_train=classes[:TRAIN_ROWS],
        X_test=pixels[TRAIN_ROWS:],
        y_test=classes[TRAIN_ROWS:],
    )
    print(f"{path}: {len(order)} digits, {path.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
