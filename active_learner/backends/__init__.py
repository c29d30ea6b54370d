"""Evaluator engines: base.py (the promise), settings.py (what an engine is told), one file per variant."""

from __future__ import annotations

VARIANTS: dict[str, str] = {
    "torch": "active_learner.backends.torch_module:TorchBackend",
}
"""Name -> "module:Class"; a class is called with a NetworkSettings (settings.py)."""
