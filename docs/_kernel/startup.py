"""Run in the kernel before the cells of every page: a fresh folder with the example data, and a plain `%%bash`."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from IPython.core.magic import register_cell_magic

os.chdir(tempfile.mkdtemp())
for name in ("A.mat", "P1.hkl", "model.pdb"):
    shutil.copy(Path(os.environ["NANOBRAG_EXAMPLES"]) / name, name)
Path("l_cysteine").symlink_to(Path(os.environ["NANOBRAG_EXAMPLES"]).resolve() / "l_cysteine")


@register_cell_magic
def bash(line: str, cell: str) -> None:
    """Run a shell script to its end and show what it printed in one piece; a failure stops the build."""
    done = subprocess.run(["bash", "-c", cell], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")
    done.check_returncode()
