"""What a process says of its memory."""

from __future__ import annotations

import subprocess
import sys

from nanobrag_torch.memory import peak_memory


def test_the_peak_is_that_of_the_process_alone() -> None:
    """A small program that a large one starts has a small peak."""
    held = bytearray(400 * 2**20)
    script = "from nanobrag_torch.memory import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 200 * 2**20
    assert peak_memory() > len(held)
