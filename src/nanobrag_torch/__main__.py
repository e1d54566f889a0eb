"""`python -m nanobrag_torch`: the command line."""

import sys

from nanobrag_torch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
