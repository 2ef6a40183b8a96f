"""``python -m sqair`` is the command ``sqair``, for torchrun: ``torchrun --nproc-per-node 2 -m sqair train ...``."""

import sys

from sqair.scripts.cli import main

if __name__ == "__main__":
    sys.exit(main())
