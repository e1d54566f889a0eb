"""`python -m nanobrag_torch.view`: the same as `nb-view`."""

import sys

from nanobrag_torch.view.main import main

if __name__ == "__main__":
    sys.exit(main())
