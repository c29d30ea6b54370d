"""Arrays <-> their descriptors and bytes (SPEC.md, section 4.2). Knows numpy; not in which message an array stands."""

from __future__ import annotations

from math import prod
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from protocol.limits import MAX_DIMENSION, MAX_DIMENSIONS, RAW_FRAME_BYTES
from protocol.schema import Infinite, RawIn, RawOut, TooLong, Unfit

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    name: np.dtype(name) for name in ("|u1", "|i1", "<i2", "<i4", "<i8", "<f4", "<f8")
}
"""All that may be said: numbers only, little-endian. No bool (a byte of 2 is none), no objects, no strings."""

_INLINE = frozenset("dsb")
_RAW = frozenset("dsfnc")


def describe(array: Any, raws: RawOut) -> dict[str, Any]:
    """The descriptor of a numpy array. One of 64 KiB or more is appended to `raws`, uncopied when it is contiguous: do not
    change it before it is sent.

    Raises: Unfit.
    """
    if not isinstance(array, np.ndarray):
        raise Unfit(f"is {type(array).__name__}, expected a numpy array")
    dtype = array.dtype.str
    if dtype not in DTYPES:
        array = _little_endian(array)
        dtype = array.dtype.str
    _check_shape(array.shape)
    _check_finite(array)
    if array.nbytes < RAW_FRAME_BYTES:
        return {"d": dtype, "s": array.shape, "b": array.tobytes()}
    raw = np.ascontiguousarray(array).data.cast("B")
    raws.append(raw)
    return {"d": dtype, "s": array.shape, "f": len(raws), "n": len(raw), "c": crc32(raw)}


def restore(descriptor: Any, raws: RawIn) -> NDArray[Any]:
    """The array of a descriptor: a view of the received bytes, to be treated as read-only.

    Raises: Unfit.
    """
    if type(descriptor) is not dict:
        raise Unfit(f"is {type(descriptor).__name__}, expected the descriptor of an array")
    names = descriptor.keys()
    if names not in (_INLINE, _RAW):
        raise Unfit("has the keys of neither an inline nor a raw array")
    name, shape = descriptor["d"], descriptor["s"]
    dtype = DTYPES.get(name) if type(name) is str else None
    if dtype is None:
        raise Unfit(f"has dtype {str(name)[:16]!r}, allowed are {', '.join(DTYPES)}")
    if type(shape) is not list:
        raise Unfit("has a shape that is no list")
    _check_shape(shape)
    content = _inline(descriptor["b"]) if names == _INLINE else _raw(descriptor, raws)
    size = prod(shape) * dtype.itemsize
    if len(content) != size:
        raise Unfit(f"has {len(content)} bytes, its shape and dtype make {size}")
    array = np.frombuffer(content, dtype).reshape(shape)
    _check_finite(array)
    return array


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    swapped = array.dtype.newbyteorder("<")
    if swapped.str not in DTYPES:
        raise Unfit(f"has dtype {array.dtype.str}, allowed are {', '.join(DTYPES)}")
    return array.astype(swapped)


def _check_shape(shape: Any) -> None:
    if len(shape) > MAX_DIMENSIONS:
        raise TooLong("dimensions", len(shape), MAX_DIMENSIONS)
    for size in shape:
        if type(size) is not int or not 1 <= size <= MAX_DIMENSION:
            raise Unfit(f"has a dimension that is not an integer from 1 to {MAX_DIMENSION}")


def _check_finite(array: NDArray[Any]) -> None:
    # the ufunc itself: `.all()` is a detour through Python
    if array.dtype.kind == "f" and not np.logical_and.reduce(np.isfinite(array), axis=None):
        raise Infinite("has values that are not finite")


def _inline(content: Any) -> bytes:
    if type(content) is not bytes:
        raise Unfit("has a content that is not binary")
    if len(content) >= RAW_FRAME_BYTES:
        raise TooLong("inline bytes", len(content), RAW_FRAME_BYTES - 1)
    return content


def _raw(descriptor: dict[str, Any], raws: RawIn) -> Any:
    number, frame = next(raws, (0, b""))
    if type(descriptor["f"]) is not int or descriptor["f"] != number or not number:
        raise Unfit("names a raw frame that is not the next one")
    if type(descriptor["n"]) is not int or descriptor["n"] != len(frame) or len(frame) < RAW_FRAME_BYTES:
        raise Unfit(
            f"announces another size than the {len(frame)} bytes of its raw frame, or one below {RAW_FRAME_BYTES}"
        )
    if type(descriptor["c"]) is not int or descriptor["c"] != crc32(frame):
        raise Unfit("has a checksum that does not fit its raw frame")
    return frame
