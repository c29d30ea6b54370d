"""Plain PyTorch: a run's rounds redone from its plans and labels. Imports nothing of ours but the loss."""

import json
import sqlite3
from hashlib import blake2b, sha256

import numpy as np
import torch


def hashed(text):
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def seeded(text, make):
    torch.manual_seed(hashed(text))
    return make()


def batches(plan):
    step, size = plan["first_step"], plan["batch_size"]
    for place in (f"{plan['seed']}/{plan['round']}/{epoch}" for epoch in range(plan["epochs"])):
        order = sorted(range(len(plan["rows"])), key=lambda row, place=place: hashed(f"epoch/{place}/{row}"))
        for start in range(0, len(order), size):
            yield step, order[start : start + size]
            step += 1


def trained(run, seed, make, optimizer, loss, dtype="f4", rounds=float("inf")):
    """The stages after all rounds up to that number; `loss(predictions, targets)` runs backward or returns the gradient."""
    torch.set_num_threads(1)
    stages = [seeded(f"step/{seed}/0/{number}", part) for number, part in enumerate(make())]
    optimizers = [optimizer(stage.parameters()) for stage in stages]
    store = sqlite3.connect(run / "labels.db")
    samples = {key: np.frombuffer(row, dtype) for key, row in store.execute("SELECT key, features FROM samples")}
    for plan, result in store.execute("SELECT plan, coalesce(result, '{}') FROM plans ORDER BY round"):
        plan, held_back = json.loads(plan), json.loads(result).get("extra", {}).get("held_back")
        if held_back or plan["round"] > rounds:  # held back: weights and optimizer were put back
            continue
        features = torch.from_numpy(np.stack([samples[key] for key in plan["rows"]]).astype(np.float32))
        for step, rows in batches(plan):
            flowing = features[rows]
            for number, stage in enumerate(stages):
                flowing = seeded(f"step/{plan['seed']}/{step}/{number}", lambda: stage(flowing))  # noqa: B023
            for each in optimizers:
                each.zero_grad()
            loss(flowing, torch.tensor(plan["values"])[rows])
            for each in optimizers:
                each.step()
    return stages


def digest(stage):
    """SHA-256 of the weights as SPEC.md, section 8, has it."""
    total = sha256()
    for name, tensor in sorted(stage.state_dict().items()):
        total.update(f"{name}\0<f4\0{','.join(map(str, tensor.shape))}\0".encode() + tensor.numpy().tobytes())
    return total.hexdigest()
