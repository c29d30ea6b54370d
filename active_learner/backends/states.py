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


class DoesNotFit(ValueError):
    """An array whose shape the network does not take, or that the network should not have returned."""


class NotFinite(ValueError):
    """NaN or infinity in weights, predictions or gradients."""


def check_batch(batch: NDArray[Any]) -> None:
    """Raises: DoesNotFit when there is not a row in it."""
    if not batch.ndim or not len(batch):
        raise DoesNotFit(f"the batch is {batch.shape}, expected (n, *sample shape) with n at least 1")


def failure(network: str, shape: tuple[int, ...], layer: str, error: Exception) -> ValueError:
    """What is raised after an exception in a forward: a batch that does not fit, or a mistake of the network. `layer` "": unknown."""
    where = f"{layer}: " if layer else ""
    if isinstance(error, ValueError | RuntimeError | IndexError | TypeError) and SHAPE_WORDS.search(str(error)):
        return DoesNotFit(f"{network} does not take a batch of {shape}: {where}{type(error).__name__}: {error}")
    return ValueError(f"{network} failed with a batch of {shape}: {where}{type(error).__name__}: {error}")


def of_step(step: int, error: Exception) -> ValueError:
    """What is raised after an exception in the apply of that step, of the kind that its cause is."""
    kind = next((kind for kind in (DoesNotFit, NotFinite) if isinstance(error, kind)), ValueError)
    name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return kind(f"step {step}: {name}{error}")


def check_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises: NotFinite naming the first array with NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NotFinite(f"{name} is not finite")


def digest(state: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 hex over, for each entry sorted by name: name, NUL, dtype, NUL, shape, NUL, bytes (SPEC.md, section 8)."""
    total = sha256()
    for name in sorted(state):
        array = state[name]
        shape = ",".join(str(length) for length in array.shape)
        total.update(f"{name}\0{array.dtype.newbyteorder('<').str}\0{shape}\0".encode())
        total.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return total.hexdigest()
