"""Labeler, source and the command line of the foreign peers; a peer written from the protocol's specification alone."""

import argparse
import random
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from foreign_evaluator import ROOMS, Evaluator
from foreign_session import POLL, Peer, Refused
from foreign_wire import Array, Message

FIRST_AGAIN, LAST_AGAIN, FULL_AGAIN = 1.0, 8.0, 5.0
AHEAD, FIRST_LEASE = 3, 0.5


class Repeated:
    """Messages that are said again, ever more slowly, until their answer comes."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Any]] = {}

    def add(self, id_: str, say: Any) -> None:
        self.waiting[id_] = [say, time.monotonic(), FIRST_AGAIN]
        say()

    def again(self) -> None:
        now = time.monotonic()
        for entry in self.waiting.values():
            say, said_at, pause = entry
            if now - said_at >= pause:
                entry[1:] = [now, min(2 * pause, LAST_AGAIN)]
                say()


class Labeler:
    """Answers 1 when the features sum to more than a threshold, else 0."""

    def __init__(self, peer: Peer, threshold: float) -> None:
        self.peer, self.threshold = peer, threshold
        self.open = Repeated()
        self.answered: dict[str, str] = {}
        self.lease_at, self.pause = 0.0, FIRST_LEASE

    def heard(self, message: Message) -> None:
        if message.name == "QUESTION":
            self.answer(message)
        elif message.name == "LEASED":
            self.lease_at, self.pause = time.monotonic() + message.fields["seconds"] / 3, FIRST_LEASE
        elif message.name == "PRESENCE" and message.fields["member"]["role"] == "trainer":
            self.lease_at, self.pause = 0.0, FIRST_LEASE
        elif message.name == "ANSWER_RECEIPT":
            self.receipt(message.fields)

    def answer(self, message: Message) -> None:
        question = message.fields
        if question["id"] in self.answered:
            return
        value = min(int(sum(question["features"].values) > self.threshold), question["classes"] - 1)
        fields = {"id": secrets.token_hex(16), "question": question["id"], "annotator": self.peer.name}
        fields |= {"revision": 0, "action": "answer", "value": value, "at": time.time(), "circumstances": ""}
        self.answered[question["id"]] = fields["id"]
        self.open.add(fields["id"], lambda: self.peer.direct(self.peer.of_role("trainer"), "ANSWER", **fields))

    def receipt(self, fields: dict[str, Any]) -> None:
        entry = self.open.waiting.get(fields["id"])
        if entry is None:
            return
        if fields["status"] == "storage_full":
            entry[1:] = [time.monotonic(), FULL_AGAIN]
            return
        del self.open.waiting[fields["id"]]
        print(f"receipt: {fields['status']} {fields['text']}".rstrip(), flush=True)

    def lease(self) -> None:
        """Asks for questions; what is answered without a receipt yet is still held."""
        self.lease_at = time.monotonic() + self.pause
        self.pause = min(2 * self.pause, 10 * FIRST_LEASE)
        unsettled = [question for question, id_ in self.answered.items() if id_ in self.open.waiting]
        fields = {"annotator": self.peer.name, "wants": AHEAD + len(unsettled), "holds": unsettled, "gives": []}
        self.peer.direct(self.peer.of_role("trainer"), "LEASE", **fields)

    def tick(self) -> None:
        self.open.again()
        if time.monotonic() >= self.lease_at:
            self.lease()


class Source:
    """Proposes random points, a few batches at a time, until all have been taken."""

    def __init__(self, peer: Peer, features: int, batch: int, count: int, seed: int) -> None:
        self.peer, self.features, self.batch, self.count = peer, features, batch, count
        self.draw = random.Random(seed)
        self.open = Repeated()
        self.proposed, self.ended, self.running = 0, False, True

    def heard(self, message: Message) -> None:
        fields = message.fields
        if message.name == "TAKEN" and self.open.waiting.pop(fields["re"], None):
            names = ("new", "known", "refused", "evicted")
            print("taken:", *(f"{name} {fields[name]}" for name in names), fields["text"], flush=True)
        elif message.name == "PRESENCE" and self.ended:
            if fields["event"] == "joined" and fields["member"]["role"] == "trainer":
                self.end()
        elif message.name == "CONTROL" and fields["role"] == self.peer.role:
            self.running = {"start": True, "stop": False}.get(fields["command"], self.running)

    def propose(self) -> None:
        n = min(self.batch, self.count - self.proposed)
        points = [self.draw.uniform(-1, 1) for _ in range(n * self.features)]
        fields = {"id": secrets.token_hex(16), "purpose": "propose", "embeddings": False}
        fields["features"] = Array.of("<f4", (n, self.features), points)
        self.proposed += n
        self.open.add(fields["id"], lambda: self.peer.tell("evolution", "CANDIDATES", **fields))

    def end(self) -> None:
        self.ended = True
        self.peer.tell("evolution", "SOURCE_ENDED", source=self.peer.name, proposed=self.proposed, dropped=0)

    def tick(self) -> None:
        self.open.again()
        while self.running and len(self.open.waiting) < 2 and self.proposed < self.count:
            self.propose()
        if self.proposed == self.count and not self.open.waiting and not self.ended:
            self.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("evaluator", "labeler", "source"))
    parser.add_argument("--address", default="tcp://127.0.0.1:5570")
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--features", type=int, default=4)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the run, for the evaluator; of the points, for the source"
    )
    parser.add_argument("--rate", type=float, default=0.5, help="of the evaluator's gradient descent")
    parser.add_argument("--checkpoints", type=Path, help="JSON file of the evaluator")
    parser.add_argument("--threshold", type=float, default=0.0, help="of the labeler's rule")
    parser.add_argument("--batch", type=int, default=10, help="candidates in one message")
    parser.add_argument("--count", type=int, default=60, help="candidates in all")
    return parser.parse_args()


def made(peer: Peer, options: argparse.Namespace) -> Evaluator | Labeler | Source:
    if options.role == "labeler":
        return Labeler(peer, options.threshold)
    if options.role == "source":
        return Source(peer, options.features, options.batch, options.count, options.seed)
    return Evaluator(peer, options.features, options.classes, options.seed, options.rate, options.checkpoints)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = arguments()
    rooms = {"evaluator": ROOMS, "labeler": ["control", "user"], "source": ["control", "evolution"]}[options.role]
    exclusive = options.role == "evaluator"
    peer = Peer(options.address, options.experiment, options.role, options.role, rooms, exclusive)
    try:
        role = made(peer, options)
        peer.begin(30)
        print(f"ready: {options.role} {peer.session}", flush=True)
        while True:
            message = peer.receive(POLL)
            if message:
                role.heard(message)
            role.tick()
    except Refused as refused:
        print(f"refused: {refused}", flush=True)
        return 1
    finally:
        peer.bye("ended")


if __name__ == "__main__":
    sys.exit(main())
