"""The two sides of a comparison: which C program, which of ours, and what they are."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nanobrag_torch.errors import InputError, ParityError

VARIABLE = "NB_C_BIN"
REFERENCE = Path("golden_suite_generator/build/nanobragg_reference")
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
    # Only the checkout that this package is part of: what lies in the working directory may be anybody's.
    root = Path(__file__).resolve().parents[3]
    if (root / "pyproject.toml").is_file() and os.access(root / REFERENCE, os.X_OK):
        return _identified(root / REFERENCE)
    compiler = "" if shutil.which("gcc") or shutil.which("clang") else " (it needs gcc or clang, and neither is here)"
    raise ParityError(
        f"no C program to compare with: build the project's own with `{BUILD}`{compiler}, "
        f"or point --c-bin or {VARIABLE} at a nanoBragg binary"
    )


def _identified(path: Path) -> CProgram:
    try:
        done = subprocess.run(
            [str(path), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASKING_S,
            stdin=subprocess.DEVNULL,
            cwd=os.path.dirname(path),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ParityError(f"{path} cannot be run: {error}") from error
    first = (done.stdout.strip().splitlines() or ["nanoBragg"])[0].strip()
    is_reference = done.returncode == 0 and first.startswith("nanobragg_reference")
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
    return words


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
