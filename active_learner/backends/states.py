"""What all engines say of arrays: digest, not finite, no batch, a network that failed. Knows numpy; no framework, no file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE_WORDS = re.compile(r"shape|size|dimension|broadcast|channels|elements|\b\d-?D\b", re.IGNORECASE)
"""In the words of numpy, torch and JAX for arrays that do not fit each other."""


def check_batch(batch: NDArray[Any]) -> None:
    """Raises: ValueError when there is not a row in it."""
    if not batch.ndim or not len(batch):
        raise ValueError(f"the batch is {batch.shape}, expected (n, *sample shape) with n at least 1")


def failure(network: str, shape: tuple[int, ...], layer: str, error: Exception) -> str:
    """What is told of an exception in a forward: a batch that does not fit, or a mistake of the network. `layer` "": unknown."""
    where = f"{layer}: " if layer else ""
    if isinstance(error, ValueError | RuntimeError | IndexError | TypeError) and SHAPE_WORDS.search(str(error)):
        return f"{network} does not take a batch of {shape}: {where}{type(error).__name__}: {error}"
    return f"{network} failed with a batch of {shape}: {where}{type(error).__name__}: {error}"


def check_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises: ValueError naming the first array with NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")


def digest(state: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 hex over, for each entry sorted by name: name, NUL, dtype, NUL, shape, NUL, bytes (SPEC.md, section 8)."""
    total = sha256()
    for name in sorted(state):
        array = state[name]
        shape = ",".join(str(length) for length in array.shape)
        total.update(f"{name}\0{array.dtype.newbyteorder('<').str}\0{shape}\0".encode())
        total.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return total.hexdigest()
