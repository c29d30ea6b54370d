"""What is promised, attacked: one file a proof, short in every test run, long by `make soak`. This table names them."""

from __future__ import annotations

from importlib import import_module

from tests.proofs.base import Proof

PROOFS: dict[str, str] = {
    "torn": "tests.proofs.torn:Torn",
    "bit_flips": "tests.proofs.bit_flips:BitFlips",
    "fuzz": "tests.proofs.fuzz:Fuzz",
    "slow": "tests.proofs.slow:Slow",
    "kills": "tests.proofs.kills:Kills",
    "weights": "tests.proofs.weights:Weights",
    "crash_points": "tests.proofs.crash_point_hits:CrashPoints",
    "network": "tests.proofs.network:Network",
    "recovery": "tests.proofs.recovery:Recovery",
    "rights": "tests.proofs.rights:RightsProof",
    "simulator": "tests.proofs.simulator:Simulator",
}
"""Name -> module:class; the order is that of `make soak`."""

OPEN: frozenset[str] = frozenset()
"""Proofs with goals that are not met yet: the test run leaves them out, `make soak` runs them and writes the misses down."""


def load_proof(name: str) -> Proof:
    """Raises: KeyError."""
    module, _, kind = PROOFS[name].partition(":")
    made: Proof = getattr(import_module(module), kind)()
    return made
