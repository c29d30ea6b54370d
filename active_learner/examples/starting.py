"""How an example of a peer is started: a configuration and its keys, as `up` takes them. Knows how mistakes are told."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from active_learner.config.loading import load
from active_learner.config.schema import Config
from active_learner.errors import ActiveLearnerError

os.environ["OMP_NUM_THREADS"] = "1"
"""Read when torch is loaded: torch.set_num_threads would not reach the thread that slow steps run in, and more threads
change the last bits."""


def start(main: Callable[[Config], Coroutine[Any, Any, int | None]]) -> None:
    """Run `main` with the configuration of the command line, and exit with its code (None: 0)."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        asked = sys.argv[1:2] in (["-h"], ["--help"])
        usage = f"usage: python -m active_learner.examples.{Path(sys.argv[0]).stem} CONFIG [KEY=VALUE ...]"
        print(usage, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    try:
        sys.exit(asyncio.run(main(load(sys.argv[1], sys.argv[2:]))))
    except ActiveLearnerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
