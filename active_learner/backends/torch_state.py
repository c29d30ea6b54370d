"""State of torch objects as named arrays and JSON, and the digest of weights. Knows no file and no training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from active_learner.backends.states import check_finite as check_finite
from active_learner.backends.states import digest as digest

Arrays = dict[str, NDArray[Any]]

WIRE_DTYPES = ("<f4", "<f8", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1", "|b1")


def as_arrays(state: Mapping[str, Any], prefix: str = "") -> Arrays:
    """Copies on the CPU, C order. Raises: ValueError for an entry that is no tensor, or of a dtype without a wire name."""
    return {prefix + name: as_array(name, value) for name, value in state.items()}


def as_array(name: str, value: Any) -> NDArray[Any]:
    """A copy of one tensor. Raises: ValueError."""
    if not isinstance(value, Tensor):
        raise ValueError(f"state {name!r} is a {type(value).__name__}; only tensors can be kept in a checkpoint")
    if value.dtype in (torch.bfloat16, torch.complex64, torch.complex128) or value.layout != torch.strided:
        raise ValueError(f"state {name!r} is {value.dtype}, {value.layout}; allowed are dense {', '.join(WIRE_DTYPES)}")
    array = np.array(value.detach().cpu().numpy(), order="C", copy=True)
    if array.dtype.str not in WIRE_DTYPES:
        raise ValueError(f"state {name!r} is {value.dtype}; allowed are {', '.join(WIRE_DTYPES)}")
    return array


def pack(value: Any, name: str, arrays: Arrays) -> Any:
    """`value` as JSON that `unpack` turns back into the same; tensors go into `arrays` under `name`.

    Containers are tagged, because JSON would turn tuples into lists and the numbers that are keys into text.
    Raises: ValueError for what is neither a number, text, tensor nor a container of those.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        arrays[name] = as_array(name, value)
        return ["tensor", name]
    if isinstance(value, Counter | dict):
        tag = "counter" if isinstance(value, Counter) else "dict"
        pairs = [[pack(k, f"{name}.key", arrays), pack(v, f"{name}.{k}", arrays)] for k, v in value.items()]
        return [tag, pairs]
    if isinstance(value, list | tuple):
        tag = "list" if isinstance(value, list) else "tuple"
        return [tag, [pack(element, f"{name}.{index}", arrays) for index, element in enumerate(value)]]
    raise ValueError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The opposite of `pack`. Raises: ValueError."""
    if not isinstance(packed, list):
        return packed
    tag, content = packed
    if tag == "tensor":
        return torch.from_numpy(np.array(arrays[content]))
    if tag in ("dict", "counter"):
        pairs = {unpack(key, arrays): unpack(value, arrays) for key, value in content}
        return pairs if tag == "dict" else Counter(pairs)
    elements = [unpack(element, arrays) for element in content]
    if tag not in ("list", "tuple"):
        raise ValueError(f"unknown tag {tag!r}")
    return elements if tag == "list" else tuple(elements)
