"""Named arrays as the state of a network: their digest, and whether they are finite. Knows numpy; no framework, no file."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
