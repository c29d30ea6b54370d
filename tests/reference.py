"""Plain PyTorch: a run's rounds redone from its plans and labels. Imports nothing of ours but the loss."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch


def hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def trained(
    run: Path,
    seed: int,
    make: Callable[[], list[Any]],
    optimizer: Callable[[Any], Any],
    loss: Any,
    dtype: Any = "f4",
    rounds: float = float("inf"),
) -> list[Any]:
    """The network's stages after all rounds up to that number; `loss(predictions, targets)` runs backward or returns the gradient."""
    torch.set_num_threads(1)
    stages = []
    for number, part in enumerate(make()):
        torch.manual_seed(hashed(f"step/{seed}/0/{number}"))
        stages.append(part())
    optimizers = [optimizer(stage.parameters()) for stage in stages]
    store = sqlite3.connect(run / "labels.db")
    samples = {
        key: np.frombuffer(blob, dtype).astype(np.float32)
        for key, blob in store.execute("SELECT key, features FROM samples")
    }
    for plan, result in store.execute("SELECT plan, result FROM plans ORDER BY round"):
        if json.loads(result or "{}").get("extra", {}).get("held_back"):
            continue  # weights and optimizer were put back: it left no trace
        plan = json.loads(plan)
        if plan["round"] > rounds:
            break
        features, targets = np.stack([samples[key] for key in plan["rows"]]), np.array(plan["values"])
        rows, size, step = len(targets), plan["batch_size"], plan["first_step"]
        for epoch in range(plan["epochs"]):
            order = sorted(range(rows), key=lambda row: hashed(f"epoch/{plan['seed']}/{plan['round']}/{epoch}/{row}"))
            for batch in (order[start : start + size] for start in range(0, rows, size)):
                flowing = torch.from_numpy(features[batch])
                for number, stage in enumerate(stages):
                    torch.manual_seed(hashed(f"step/{plan['seed']}/{step}/{number}"))
                    flowing = stage(flowing)
                for each in optimizers:
                    each.zero_grad()
                loss(flowing, torch.from_numpy(targets[batch]))
                for each in optimizers:
                    each.step()
                step += 1
    return stages


def digest(stage: Any) -> str:
    """SHA-256 of the weights as SPEC.md, section 8, has it."""
    total = sha256()
    for name, tensor in sorted(stage.state_dict().items()):
        shape = ",".join(map(str, tensor.shape))
        total.update(f"{name}\0<f4\0{shape}\0".encode() + tensor.numpy().tobytes())
    return total.hexdigest()
