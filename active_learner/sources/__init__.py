"""Candidate sources: base.py (the promise) and one file per variant."""

from __future__ import annotations

VARIANTS: dict[str, str] = {
    "dataset": "active_learner.sources.dataset:DatasetProposer",
    "evolution": "active_learner.sources.evolution:Evolution",
    "jsonl": "active_learner.sources.jsonl:JsonLines",
}
"""`source.kind` -> "module:Class"; a class is called with (config section, SampleSpec, seed, base folder)."""
