"""The evaluator's side of the training exchange, over a softmax regression in plain lists; the trainer is only heard."""

import hashlib
import json
import math
import os
import random
from pathlib import Path
from typing import Any

from foreign_session import Peer
from foreign_wire import Array, Message, little_endian

INPUT, OUTPUT, EVOLUTION, CONTROL = "traininput", "trainoutput", "evolution", "control"
ROOMS = [CONTROL, EVOLUTION, OUTPUT, INPUT]
COMMANDS = ("POSITION_REQUEST", "RESTORE", "PROMOTE", "FORWARD", "STEP")
Rows = list[list[float]]


class Refusal(Exception):
    """What cannot become right by being said again."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def seed_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def digest_of(entries: dict[str, Array]) -> str:
    sha = hashlib.sha256()
    for name, entry in sorted(entries.items(), key=lambda one: one[0].encode()):
        shape = ",".join(map(str, entry.shape))
        sha.update(b"\0".join([name.encode(), entry.dtype.encode(), shape.encode(), little_endian(entry.values)]))
    return sha.hexdigest()


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    powers = [math.exp(one - top) for one in logits]
    return [one / sum(powers) for one in powers]


class Network:
    """One linear layer; its output are logits."""

    def __init__(self, features: int, classes: int, seed: int, rate: float) -> None:
        draw = random.Random(seed_of(f"step/{seed}/0/0"))
        self.weight = [[draw.uniform(-0.5, 0.5) for _ in range(features)] for _ in range(classes)]
        self.bias = [0.0] * classes
        self.rate = rate

    def forward(self, rows: Rows) -> Rows:
        return [
            [sum(map(float.__mul__, line, row)) + bias for line, bias in zip(self.weight, self.bias, strict=True)]
            for row in rows
        ]

    def step(self, rows: Rows, gradient: Rows) -> None:
        """Plain gradient descent; nothing changes when a value would not be finite."""
        weight = [list(line) for line in self.weight]
        bias = list(self.bias)
        for row, slopes in zip(rows, gradient, strict=True):
            for k, slope in enumerate(slopes):
                bias[k] -= self.rate * slope
                for j, value in enumerate(row):
                    weight[k][j] -= self.rate * slope * value
        if not all(math.isfinite(one) for line in [*weight, bias] for one in line):
            raise Refusal("not_finite", "the step would make a weight NaN or infinite")
        self.weight, self.bias = weight, bias

    def state(self) -> dict[str, Any]:
        return {"weight": [list(line) for line in self.weight], "bias": list(self.bias)}

    def load(self, state: dict[str, Any]) -> None:
        self.weight, self.bias = [list(line) for line in state["weight"]], list(state["bias"])

    def digest(self) -> str:
        """SHA-256 of the state, as 64 bit floats."""
        flat = [value for line in self.weight for value in line]
        shape = (len(self.weight), len(self.weight[0]))
        entries = {"weight": Array.of("<f8", shape, flat), "bias": Array.of("<f8", shape[:1], self.bias)}
        return digest_of(entries)


class Evaluator:
    """Answers every row of the table of the specification's section on steps."""

    def __init__(self, peer: Peer, features: int, classes: int, seed: int, rate: float, path: Path | None) -> None:
        self.peer, self.path = peer, path
        self.features, self.classes = features, classes
        self.seed, self.rate = seed, rate
        self.network, self.snapshot = self.fresh(), self.fresh()
        self.run, self.term, self.applied, self.version = "", 0, 0, 0
        self.older = False
        self.checkpoints: dict[int, dict[str, Any]] = {}
        self.forget()
        if path and path.exists():
            self._wake(json.loads(path.read_text()))

    def fresh(self) -> Network:
        return Network(self.features, self.classes, self.seed, self.rate)

    def _wake(self, saved: dict[str, Any]) -> None:
        self.run, self.term = saved["run"], saved["term"]
        self.checkpoints = {int(step): state for step, state in saved["checkpoints"].items()}
        self.applied = self.version = max(self.checkpoints, default=0)
        self.older = self.checkpoints.get(self.applied, {}).get("older", False)
        for network in (self.network, self.snapshot) if self.applied else ():
            network.load(self.checkpoints[self.applied])

    def forget(self) -> None:
        self.kept: tuple[int, Rows, tuple[int, ...]] | None = None
        self.said: dict[str, dict[str, Any]] = {}

    def tick(self) -> None:
        """Nothing to do without being asked."""

    def heard(self, message: Message) -> None:
        room = message.room.rpartition("/")[2]
        if message.name == "CANDIDATES" and room == EVOLUTION:
            handle = self.score
        elif (message.name in COMMANDS and room == INPUT) or (message.name == "GRADIENT" and room == OUTPUT):
            handle = self.train
        else:
            return
        try:
            handle(message)
        except Refusal as why:
            self.refuse(message, why.code, str(why))

    def refuse(self, message: Message, code: str, text: str, step: int | None = None) -> None:
        heard = message.fields
        answer = {"term": heard.get("term", 0), "step": heard.get("step", 0) if step is None else step}
        answer |= {"ticket": heard["id"] if message.name == "CANDIDATES" else heard.get("ticket", "")}
        answer |= {"role": self.peer.role, "code": code, "text": text}
        concerned = (
            {message.session, self.peer.of_role("trainer")} if message.name == "CANDIDATES" else {message.session}
        )
        for session in concerned:
            self.peer.direct(session, "STEP_REFUSED", **answer)

    def position(self, message: Message, why: str = "") -> None:
        answer = {"term": self.term, "run": self.run, "role": self.peer.role, "applied": self.applied}
        answer |= {"model_version": self.version, "restorable": sorted(self.checkpoints)[-1024:], "fused": True}
        self.peer.direct(message.session, "POSITION", **answer, width=self.classes, why=why)

    def rows(self, data: Array) -> Rows:
        if len(data.shape) != 2 or data.shape[1] != self.features or data.dtype != "<f4":
            raise Refusal("shape", f"{data.dtype} {data.shape} is not (n, {self.features}) <f4")
        return data.rows()

    def output(self, network: Network, rows: Rows) -> Array:
        flat = [value for line in network.forward(rows) for value in line]
        output = Array.of("<f4", (len(rows), self.classes), flat)
        if not all(map(math.isfinite, output.values)):
            raise Refusal("not_finite", "NaN or infinity in the predictions")
        return output

    def score(self, message: Message) -> None:
        rows = self.rows(message.fields["features"])
        chances = [softmax(logits) for logits in self.snapshot.forward(rows)]
        flat = [chance for line in chances for chance in line]
        fitness = [sum(k * chance for k, chance in enumerate(line)) for line in chances]
        answer = {"re": message.fields["id"], "model_version": self.version, "embeddings": None}
        answer["probabilities"] = Array.of("<f4", (len(rows), self.classes), flat)
        answer["fitness"] = Array.of("<f4", (len(rows),), fitness)
        self.peer.tell(EVOLUTION, "SCORES", **answer)

    def train(self, message: Message) -> None:
        heard = message.fields
        if heard.get("status") == "score":
            return  # only for a stage behind the first
        if message.name == "RESTORE" and heard["role"] != self.peer.role:
            return
        if "run" in heard and heard["run"] != self.run and (self.run or message.name == "POSITION_REQUEST"):
            self.other_run(message)
            return
        if heard["term"] < self.term:
            raise Refusal("stale_term", f"term {heard['term']} is lower than {self.term}")
        if heard["term"] > self.term:
            self.term = heard["term"]
            self.forget()
        if not self.run:
            self.position(message, "it has no run yet")
            return
        getattr(self, f"on_{message.name.lower()}")(message)

    def other_run(self, message: Message) -> None:
        if self.run and (message.name != "POSITION_REQUEST" or self.applied or self.checkpoints):
            raise Refusal("wrong_run", f"the run here is {self.run!r}, at step {self.applied}")
        self.run, self.term = message.fields["run"], message.fields["term"]
        self.forget()
        self.position(message)

    def on_position_request(self, message: Message) -> None:
        self.position(message)

    def misplaced(self, message: Message, step: int) -> None:
        late = step <= self.applied
        self.position(message, "" if late else f"{message.name} {step}, but applied is {self.applied}")

    def on_forward(self, message: Message) -> None:
        step, validate = message.fields["step"], message.fields["status"] == "validate"
        if validate and step == self.applied and not self.older:
            data = self.output(self.network, self.rows(message.fields["data"]))
            self.peer.tell(OUTPUT, "FORWARD", **message.fields | {"data": data})
        elif validate:
            self.position(message, f"validate {step}, but applied is {self.applied}, held back: {self.older}")
        elif step != self.applied + 1:
            self.misplaced(message, step)
        elif self.kept:
            self.peer.tell(OUTPUT, "FORWARD", **self.said["FORWARD"])
        else:
            self.forward(message, step)

    def forward(self, message: Message, step: int) -> None:
        """Forward in training mode; keeps what the gradient will need."""
        heard = message.fields
        if self.applied == 0 and heard["seed"] != self.seed:
            self.seed = heard["seed"]
            self.network, self.snapshot = self.fresh(), self.fresh()
        random.seed(seed_of(f"step/{heard['seed']}/{step}/0"))
        rows = self.rows(heard["data"])
        output = self.output(self.network, rows)
        said = {name: heard[name] for name in ("term", "round", "epoch", "batch", "seed")}
        said |= {"step": step, "status": "train", "ticket": "", "data": output}
        self.kept, self.said["FORWARD"] = (step, rows, output.shape), said
        self.peer.tell(OUTPUT, "FORWARD", **said)

    def apply(self, gradient: Array | None) -> None:
        assert self.kept
        step, rows, shape = self.kept
        if gradient is None or gradient.shape != shape or gradient.dtype != "<f4":
            raise Refusal("shape", f"the gradient of step {step} must be {shape} <f4")
        self.network.step(rows, gradient.rows())
        self.applied, self.kept, self.older = step, None, False
        self.said = {}

    def on_gradient(self, message: Message) -> None:
        step = message.fields["step"]
        if self.kept and self.kept[0] == step:
            self.apply(message.fields["data"])
            self.said["GRADIENT"] = {"term": message.fields["term"], "step": step, "data": None}
            self.peer.tell(INPUT, "GRADIENT", **self.said["GRADIENT"])
        elif step == self.applied and "GRADIENT" in self.said:
            self.peer.tell(INPUT, "GRADIENT", **self.said["GRADIENT"])
        else:
            self.misplaced(message, step)

    def on_step(self, message: Message) -> None:
        step = message.fields["step"]
        if self.kept and self.kept[0] == step:
            self.apply(message.fields["gradient"])
        elif step == self.applied and self.kept:
            self.peer.tell(OUTPUT, "FORWARD", **self.said["FORWARD"])
            return
        elif step != self.applied:
            self.misplaced(message, step)
            return
        try:
            self.forward(message, step + 1)
        except Refusal as why:
            self.refuse(message, why.code, str(why), step + 1)

    def on_restore(self, message: Message) -> None:
        step = message.fields["step"]
        if step != self.applied and step and step not in self.checkpoints:
            self.position(message, f"there is no checkpoint of step {step}")
            return
        if step != self.applied:
            self.go_back(step)
        self.position(message)

    def go_back(self, step: int) -> None:
        """Network and snapshot as they were; what came later is never named again."""
        state = self.checkpoints[step] if step else self.fresh().state()
        self.store({one: kept for one, kept in self.checkpoints.items() if one <= step})
        self.network.load(state)
        self.snapshot.load(state)
        self.applied = self.version = step
        self.older = state.get("older", False)
        self.forget()

    def on_promote(self, message: Message) -> None:
        round_, step = message.fields["round"], message.fields["step"]
        said = self.said.get("PROMOTED", {})
        if step != self.applied:
            self.position(message, f"PROMOTE {step}, but applied is {self.applied}")
            return
        source = message.fields["weights_of"]
        if (source != step and source not in self.checkpoints) or (source == step and self.older):
            self.position(message, f"the weights of step {source} are not here")
            return
        if (said.get("round"), said.get("step"), self.older) != (round_, step, source != step):
            said = {"term": self.term, "role": self.peer.role, "round": round_, "step": step}
            self.save(step, self.network.state() if source == step else {**self.checkpoints[source], "older": True})
            said["digest"] = self.network.digest()
            self.said["PROMOTED"] = said
            print(f"promoted: {round_} {step} {said['digest']}", flush=True)
        self.peer.direct(message.session, "PROMOTED", **said)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """A checkpoint of these weights, which go on from here and score from now on."""
        self.store(self.checkpoints | {step: state})
        self.version, self.older = step, state.get("older", False)
        self.network.load(state)
        self.snapshot.load(state)

    def store(self, checkpoints: dict[int, dict[str, Any]]) -> None:
        if self.path:
            new = self.path.with_suffix(".new")
            try:
                with new.open("w") as file:
                    json.dump({"run": self.run, "term": self.term, "checkpoints": checkpoints}, file)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self.path)
            except OSError as error:
                raise Refusal("failed", f"no checkpoint: {error}") from error
        self.checkpoints = checkpoints
