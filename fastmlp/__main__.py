"""Entry point of `python -m fastmlp`, which does the same as the command `fastmlp`."""

import sys

from fastmlp.cli import main

if __name__ == "__main__":
    sys.exit(main())
