"""The two sides of a comparison: which C program, which of ours, and what they are."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nanobrag_torch.errors import InputError, ParityError
from nanobrag_torch.parity.process import run

VARIABLE = "NB_C_BIN"
REFERENCE = Path("golden_suite_generator/build/nanobragg_reference")
STANDIN = Path("golden_suite_generator/build/nanobragg_standin")
"""The reference with the defects of an original that harnesses have to work around."""
BUILD = "make -C golden_suite_generator"
_ASKING_S = 20.0


@dataclass(frozen=True)
class CProgram:
    """A C program that takes nanoBragg's command lines.

    Args:
        path: the executable.
        is_reference: whether it is this project's own C reference, which has none of the original's defects.
        version: what it calls itself.
    """

    path: Path
    is_reference: bool
    version: str

    @property
    def sha256(self) -> str:
        """Checksum of the executable."""
        return checksum(self.path)


def find_c_program(named: str | None = None, environment: Mapping[str, str] | None = None) -> CProgram:
    """The C side: `named`, else the one that `NB_C_BIN` names, else the project's own C reference.

    Raises:
        ParityError: there is none, or it cannot be run; the message says how to build one or where to point.
    """
    variables = os.environ if environment is None else environment
    said = named or variables.get(VARIABLE)
    if said:
        found = shutil.which(said)
        if found is None:
            source = "--c-bin" if named else VARIABLE
            raise ParityError(f"{source} names {said}, which is not an executable program")
        return _identified(Path(found).resolve())
    reference = own_program(REFERENCE)
    if reference is not None:
        return reference
    compiler = "" if shutil.which("gcc") or shutil.which("clang") else " (it needs gcc or clang, and neither is here)"
    raise ParityError(
        f"no C program to compare with: build the project's own with `{BUILD}`{compiler}, "
        f"or point --c-bin or {VARIABLE} at a nanoBragg binary"
    )


def own_program(path: Path) -> CProgram | None:
    """A C program built in this checkout (`REFERENCE`, `STANDIN`), or `None`."""
    # Only the checkout that this package is part of: what lies in the working directory may be anybody's.
    root = Path(__file__).resolve().parents[3]
    if (root / "pyproject.toml").is_file() and os.access(root / path, os.X_OK):
        return _identified(root / path)
    return None


def _identified(path: Path) -> CProgram:
    try:
        with tempfile.TemporaryDirectory() as log:
            done = run([str(path), "--version"], path.parent, limit=_ASKING_S, log=Path(log))
            said = done.stdout.strip()
    except OSError as error:
        raise ParityError(f"{path} cannot be run: {error}") from error
    if done.status is None:
        raise ParityError(f"{path} cannot be run: with --version it {done.ending()}")
    first = (said.splitlines() or ["nanoBragg"])[0].strip()
    is_reference = done.status == 0 and first.startswith("nanobragg_reference")
    return CProgram(path, is_reference, first)


def our_command(py_bin: str | None = None) -> tuple[str, ...]:
    """The words that start this program: `py_bin` split as a shell does, else this Python and this package.

    The folder in which it runs is no place to import from (`-P`).

    Raises:
        InputError: `py_bin` cannot be split, or is empty.
    """
    if not py_bin:
        return (sys.executable, "-P", "-m", "nanobrag_torch")
    try:
        words = tuple(shlex.split(py_bin))
    except ValueError as error:
        raise InputError("--py-bin", f"{py_bin} cannot be split into words ({error})", "quote it as for a shell") from (
            error
        )
    if not words:
        raise InputError("--py-bin", "names no program", "name one")
    # It runs in a folder of its own: a path that is relative here has to be made whole.
    found = shutil.which(words[0])
    if found is None:
        raise InputError("--py-bin", f"names {words[0]}, which is not an executable program", "look at the path")
    return (str(Path(found).absolute()) if os.sep in words[0] else words[0], *words[1:])


ENVIRONMENT = ("NB_C_BIN", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""Variables that choose a program or change its speed."""


def checkout_commit() -> str | None:
    """The git commit of the checkout that this package runs from, `+` behind it with changes; `None` elsewhere."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").is_file() or not (root / ".git").exists() or shutil.which("git") is None:
        return None
    words = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_ASKING_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
