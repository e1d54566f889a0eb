"""The code for cards on a processor: csrc/card.cu compiled by a C compiler, its threads as turns of a loop."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

from nanobrag_torch.kernels.cuda import SOURCES

COMPILER = shutil.which("gcc") or shutil.which("cc")
THREADS = 4


class Emulated:
    """A launcher (kernels/card.py) whose groups are one thread each."""

    threads, group, most_blocks = THREADS, 1, 3

    def __init__(self, library: Path, pairs: bool) -> None:
        self.library, self.pairs = ctypes.CDLL(str(library)), pairs

    def launch(self, entry, question, blocks, arguments):
        del question
        function = getattr(self.library, entry)
        function.restype = None
        given = [ctypes.c_double(x) if isinstance(x, float) else ctypes.c_int64(x) for x in arguments]
        for block in range(blocks):
            for thread in range(THREADS):
                self.library.nanobrag_emulate(*map(ctypes.c_int64, (block, blocks, thread)))
                function(*given)


def build(folder: Path, pairs: bool = False) -> Emulated:
    """Compile the code for a processor into a folder, and load it."""
    library = folder / f"card{'_pairs' * pairs}.so"
    if not library.exists():
        defined = [f"-DTHREADS_PER_BLOCK={THREADS}", *(["-DPAIRS"] if pairs else [])]
        flags = ["-std=gnu11", "-O1", "-fno-math-errno", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        source = SOURCES / "card_emulated.c"
        subprocess.run([COMPILER, *flags, *defined, str(source), "-o", str(library), "-lm"], check=True)
    return Emulated(library, pairs)
