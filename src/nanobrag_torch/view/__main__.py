"""`python -m nanobrag_torch.view`: the same as `nb-view`."""

import sys

from nanobrag_torch.view.main import main

sys.exit(main())
