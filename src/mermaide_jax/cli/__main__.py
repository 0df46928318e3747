"""`python -m mermaide_jax.cli`: the same as `mermaide`."""

import sys

from mermaide_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
