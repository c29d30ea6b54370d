"""One checkpoint file: named arrays and facts as safetensors, with a digest of its own. Knows bytes and files, no network.

The digest is the SHA-256 of the whole file as it is with 64 zeros in place of the digest itself, so that no bit of the
file can change unseen, and any safetensors reader can open it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from active_learner.crash_points import reach

Arrays = dict[str, NDArray[Any]]

FORMAT = 2
READABLE = (1, 2)
"""1 had neither term nor the snapshot that scores: each of its files was of promoted weights."""
FACTS = "active_learner"
"""Metadata key with the facts as JSON."""
MARK = b'"sha256":"'
BLANK = b"0" * 64


def write_checkpoint(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Temporary file, fsync, rename, fsync of the folder: at any moment there is the old file or the whole new one.

    Raises: OSError, with the file that was there before untouched.
    """
    contents = _sealed(arrays, facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(contents)
            file.flush()
            reach("evaluator.checkpoint_before_fsync")
            os.fsync(file.fileno())
        reach("evaluator.checkpoint_before_rename")
        temporary.replace(path)
        reach("evaluator.checkpoint_before_folder_sync")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_checkpoint(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and facts of a file that is bit for bit as it was written. Raises: ValueError that names the file."""
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise ValueError(f"checkpoint {path.name} cannot be read: {error}") from error
    _verify(path, contents)
    try:
        header = json.loads(contents[8 : 8 + int.from_bytes(contents[:8], "little")])
        facts: dict[str, Any] = json.loads(header["__metadata__"][FACTS])
        arrays: Arrays = safetensors.numpy.load(contents)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise ValueError(f"checkpoint {path.name} is none of ours: {error!r}") from error
    if not isinstance(facts, dict):
        raise ValueError(f"checkpoint {path.name} is none of ours: its facts are {type(facts).__name__}")
    if facts.get("format") not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise ValueError(f"checkpoint {path.name} has format {facts.get('format')}, this version reads {known}")
    return arrays, facts


def _sealed(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> bytes:
    metadata = {FACTS: json.dumps({"format": FORMAT, **facts}, sort_keys=True), "sha256": BLANK.decode()}
    ordered = {
        name: np.asarray(array, order="C") for name, array in arrays.items()
    }  # ascontiguousarray makes () to (1,)
    contents = bytearray(safetensors.numpy.save(ordered, metadata))
    place = _digest_place(contents)
    contents[place : place + 64] = sha256(contents).hexdigest().encode()
    return bytes(contents)


def _digest_place(contents: bytes | bytearray) -> int:
    """Where the digest stands; -1 when nowhere. In JSON only a real key looks like the mark: quotes in texts are escaped."""
    end = 8 + int.from_bytes(contents[:8], "little")
    found = contents.find(MARK, 8, min(end, len(contents)))
    return found + len(MARK) if found >= 0 and found + len(MARK) + 64 <= len(contents) else -1


def _verify(path: Path, contents: bytes) -> None:
    place = _digest_place(contents)
    if place < 0:
        raise ValueError(f"checkpoint {path.name} is damaged: its digest is missing")
    blanked = contents[:place] + BLANK + contents[place + 64 :]
    if sha256(blanked).hexdigest().encode() != contents[place : place + 64]:
        raise ValueError(f"checkpoint {path.name} is damaged: its bytes do not have the digest written in it")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
