"""The same step as swergio's tutorial has it: JSON lists, the evaluator's forward twice, jacobian and vjp."""

from __future__ import annotations

import time
import uuid
from typing import Any

import torch
from torch import nn

from active_learner.bench import step_task
from active_learner.bench.processes import pair, silence, swergio_server

STEPS = 15
_functional: Any = torch.autograd.functional  # has no types


def swergio_loop(steps: int = STEPS) -> step_task.Steps:
    with swergio_server() as ports:
        found: step_task.Steps = pair(_evaluator, _trainer, ports[0], steps)
    return found


def _evaluator(port: int, steps: int, ready: Any, results: Any) -> None:
    from swergio import MESSAGE_TYPE, Client, Trigger

    silence()
    trained = step_task.network()
    optimizer = torch.optim.SGD(trained.parameters(), lr=step_task.LEARNING_RATE)
    forward_type, gradient_type = MESSAGE_TYPE.DATA.FORWARD, MESSAGE_TYPE.DATA.GRADIENT
    memory: dict[str, tuple[str, torch.Tensor]] = {}

    def on_forward(message: dict[str, Any]) -> dict[str, Any]:
        batch, own = torch.FloatTensor(message["DATA"]), uuid.uuid4().hex
        memory[own] = (message["ID"], batch)
        return {"ID": own, "DATA": trained(batch).tolist()}

    def on_gradient(message: dict[str, Any]) -> dict[str, Any] | None:
        if message["ID"] not in memory:
            return None
        source, batch = memory.pop(message["ID"])
        gradient = torch.FloatTensor(message["DATA"])
        optimizer.zero_grad()
        trained(batch).backward(gradient=gradient)
        optimizer.step()
        slope = _functional.vjp(trained, batch, gradient)[1]
        return {"ID": source, "DATA": slope.tolist()}

    peer = Client("evaluator", "127.0.0.1", port)
    for handle, kind, hears, says in (
        (on_forward, forward_type, "traininput", "trainoutput"),
        (on_gradient, gradient_type, "trainoutput", "traininput"),
    ):
        peer.add_eventHandler(handle, kind, responseRooms=says, trigger=Trigger(kind, hears))
    time.sleep(0.5)  # swergio does not confirm a join
    ready.set()
    peer.listen()


def _trainer(port: int, steps: int, ready: Any, results: Any) -> None:
    from swergio import MESSAGE_TYPE, Client, Trigger

    silence()
    torch.set_num_threads(1)
    rows, loss, taken = step_task.batches(), nn.CrossEntropyLoss(), list[float]()
    forward_type, gradient_type = MESSAGE_TYPE.DATA.FORWARD, MESSAGE_TYPE.DATA.GRADIENT
    begun = time.perf_counter()

    def batch() -> dict[str, Any]:
        return {"ID": uuid.uuid4().hex, "DATA": rows[len(taken) % step_task.BATCHES][0].tolist()}

    def on_predictions(message: dict[str, Any]) -> dict[str, Any]:
        predictions = torch.FloatTensor(message["DATA"])
        labels = torch.from_numpy(rows[len(taken) % step_task.BATCHES][1])
        gradient = _functional.jacobian(lambda given: loss(given, labels), predictions)
        return {"ID": message["ID"], "DATA": gradient.tolist()}

    def on_applied(message: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal begun
        before, begun = begun, time.perf_counter()
        taken.append(begun - before)
        if len(taken) < steps:
            return batch()
        results.put(step_task.Steps.of(taken))
        return None

    peer = Client("trainer", "127.0.0.1", port)
    for handle, hears, answer, room in (
        (on_predictions, Trigger(forward_type, "trainoutput"), gradient_type, "trainoutput"),
        (on_applied, Trigger(gradient_type, "traininput"), forward_type, "traininput"),
    ):
        peer.add_eventHandler(handle, answer, responseRooms=room, trigger=hears)
    ready.wait()
    time.sleep(0.5)
    begun = time.perf_counter()
    peer.send({**batch(), **_first(forward_type.id)})
    peer.listen()


def _first(kind: Any) -> dict[str, Any]:
    """What swergio fills in by itself only when a handler answers."""
    return {"ROOT_ID": uuid.uuid4().hex, "TYPE": kind, "TO_ROOM": "traininput", "SENT_BY": "trainer"}
