"""A source of one's own: the digits as candidates, 64 at a time. Started with a configuration and its keys."""

import asyncio
import secrets

from active_learner.config.loading import address_of, keys_of
from active_learner.config.schema import Config
from active_learner.datasets.reading import read_dataset
from active_learner.examples.starting import start
from active_learner.peer import Peer, Received
from protocol.messages import Candidates, Member, SourceEnded, Taken


async def propose(peer: Peer, room: str, candidates: Candidates) -> None:
    def is_taken(heard: Received) -> bool:
        return isinstance(heard.message, Taken) and heard.message.re == candidates.id

    await peer.request(room, candidates, is_taken, timeout_s=None)


async def main(config: Config) -> None:
    rows, room, trainer_came = read_dataset("digits").training_rows(), config.rooms.evolution, asyncio.Event()

    def look(where: str, member: Member, here: bool, why: str) -> None:
        if here and where == room and member.role == "trainer":
            trainer_came.set()

    async with Peer(
        experiment=config.name, role="source", address=address_of(config), keys=keys_of(config, "source")
    ) as peer:
        peer.on_presence, peer.on_message = look, lambda heard: None
        await peer.join(config.rooms.control)
        await peer.join(room)
        while await trainer_came.wait():  # one that comes again may have lost some
            trainer_came.clear()
            for start in range(0, len(rows), 64):
                await propose(peer, room, Candidates(secrets.token_hex(16), "propose", rows[start : start + 64], False))
            peer.send(room, SourceEnded(peer.name, len(rows), 0))


if __name__ == "__main__":
    start(main)
