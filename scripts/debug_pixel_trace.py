"""nb-trace from a checkout without installing console scripts: see docs/parity.md."""

from __future__ import annotations

import sys

from nanobrag_torch.parity.trace import main

if __name__ == "__main__":
    sys.exit(main())
