"""The evaluator's whole exchange around a network of one's own, in any framework. Knows the service; not the network.

A source or a labeler of one's own needs no more than Peer: see examples/source.py and examples/labeler.py.
"""

from __future__ import annotations

from pathlib import Path

from active_learner.backends.base import Array
from active_learner.backends.own_network import ArrayLike, Arrays, Network, OwnNetwork
from active_learner.core.checkpointing import CheckpointRule
from active_learner.core.evaluation_events import Place
from active_learner.peer import Peer
from active_learner.services import shell
from active_learner.services.checkpoint_folder import CheckpointFolder
from active_learner.services.evaluator import Evaluator, EvaluatorRooms

__all__ = ["Array", "ArrayLike", "Arrays", "EvaluatorRooms", "Network", "Place", "serve_evaluator"]

ROOMS = EvaluatorRooms("evolution", "traininput", "control")
CHECKPOINTS_KEPT = 3
CHECKPOINT_STEPS, CHECKPOINT_S = 50, 2.0
"""As evaluator.checkpoint_steps and evaluator.checkpoint_s of a configuration are by default."""


async def serve_evaluator(
    peer: Peer,
    network: Network,
    checkpoints: Path,
    *,
    seed: int = 0,
    place: Place | None = None,
    stage: int = 0,
    rooms: EvaluatorRooms = ROOMS,
) -> int:
    """Join the rooms and train `network` until SIGINT or SIGTERM; says "ready: ..." on stdout. Returns the exit code.

    Repeats, restarts of anybody, positions, scores, promotions and checkpoints are seen to: SPEC.md, section 7, is kept.

    `peer`: exclusive, not open yet. `checkpoints`: a folder; it goes on from the newest there that is good. `seed`: the run's,
    for scores before the first step. `place`, `stage`: where it stands in a chain; None: it is the whole network.

    Raises: Unreachable (no broker), LeaseHeld (an evaluator of that role is there).
    """
    there = place or Place(peer.role, rooms.traininput, "trainoutput", rooms.evolution, first=True, last=True)
    folder = CheckpointFolder(checkpoints, there.role, CHECKPOINTS_KEPT)
    rule = CheckpointRule(CHECKPOINT_STEPS, CHECKPOINT_S)
    return await shell.run(Evaluator(peer, OwnNetwork(network, seed, stage), folder, there, rooms, seed, rule))
