"""How active_learner/datasets/melody.npz was made: genomes rated by the simulated listener, half random, half bred.

python -m active_learner.examples.make_melodies FILE.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from active_learner.config.schema import EvolutionSource
from active_learner.core.records import SampleSpec
from active_learner.core.seeds import derived_seed
from active_learner.melody.genome import BITS
from active_learner.melody.listener import RATINGS, rate
from active_learner.sources.base import Outcome
from active_learner.sources.evolution import Evolution

RANDOM = BRED = 300
EVOLUTIONS, GENERATIONS = 6, 12
"""An evolution's best ratings are reached by then; later generations differ little from each other."""

Genomes = NDArray[np.uint8]


def made() -> tuple[Genomes, NDArray[np.int64]]:
    """X_test (600, 128), distinct, and y_test (600,); the same at every call."""
    generator = np.random.default_rng(derived_seed("held-out melodies", 0))
    random = generator.integers(0, 2, (RANDOM, BITS), dtype=np.uint8)
    known = {genome.tobytes() for genome in random}
    everything = np.concatenate([bred(seed) for seed in range(EVOLUTIONS)])
    distinct = list({genome.tobytes(): genome for genome in everything if genome.tobytes() not in known}.values())
    chosen = generator.permutation(len(distinct))[:BRED]
    genomes = np.concatenate([random, np.array([distinct[place] for place in chosen])])
    genomes = genomes[generator.permutation(len(genomes))]
    return genomes, rate(genomes)


def bred(seed: int) -> Genomes:
    """All generations of an evolution whose fitness is the true rating, (n, 128); no run of an experiment has its seed."""
    section, spec = EvolutionSource(bits=BITS), SampleSpec((BITS,), "uint8", RATINGS)
    evolution = Evolution(section, spec, derived_seed("held-out evolution", seed))
    generations = []
    for _ in range(GENERATIONS):
        genomes = evolution.propose()
        assert genomes is not None  # without a limit it never ends
        evolution.report(Outcome(genomes, rate(genomes).astype(np.float32), len(genomes)))
        generations.append(genomes)
    return np.concatenate(generations)


def main(path: Path) -> None:
    genomes, ratings = made()
    np.savez_compressed(path, X_test=genomes, y_test=ratings)
    print(f"{path}: {len(genomes)} melodies, {path.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
