"""This program's command line with a clock on its rendering.

    python -m nanobrag_torch.parity.clocked FIGURES.json REPEAT ARGS

runs `nanobrag ARGS` unchanged and writes how long `Simulator.run` took: the first time, behind a warm-up on one
pixel, and REPEAT further times. The warm-up and the repeats are told apart, so that the process time can be corrected.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main(argv: list[str] | None = None) -> int:
    """Run a command line, then write its figures; the exit status is that of the command line."""
    words = sys.argv[1:] if argv is None else argv
    target, repeat, args = Path(words[0]), int(words[1]), words[2:]
    from nanobrag_torch.cli.main import main as nanobrag

    figures: dict[str, Any] = {"render_s": [], "extra_s": 0.0}
    _put_clock_on_rendering(figures, repeat)
    status = nanobrag(args)
    target.write_text(json.dumps({**figures, **_versions()}))
    return status


def _put_clock_on_rendering(figures: dict[str, Any], repeat: int) -> None:
    import torch

    from nanobrag_torch.pipeline.simulator import Simulator

    plain = Simulator.run

    def run(self: Simulator, *rest: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        # Libraries are loaded and threads started by the first pixel, once per process.
        plain(self, torch.zeros((1, 2), dtype=torch.int64))
        ready = time.perf_counter()
        image = plain(self, *rest, **named)
        image.numpy()
        done = time.perf_counter()
        figures["render_s"].append(done - ready)
        for _ in range(repeat):
            again = time.perf_counter()
            plain(self).numpy()
            figures["render_s"].append(time.perf_counter() - again)
        figures["extra_s"] += ready - begun + time.perf_counter() - done
        figures["device"] = str(self.options.device)
        figures["threads"] = torch.get_num_threads()
        return image

    Simulator.run = run  # type: ignore[method-assign]


def _versions() -> dict[str, str]:
    import numpy
    import torch

    import nanobrag_torch

    return {
        "nanobrag_torch": nanobrag_torch.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
    }


if __name__ == "__main__":
    sys.exit(main())
