"""python -m active_learner. Knows only that a user's folder must not hide our modules."""

import sys

if not sys.flags.safe_path:
    # -m puts the working directory first; a `protocol.py` there must not win over our package.
    sys.path.append(sys.path.pop(0))

from active_learner.cli import main

main()
