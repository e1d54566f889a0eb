"""Reading files of strangers in a process of its own, with limits of memory and time.

The libraries that read HDF5 and MTZ are large and written for files that mean well. What a damaged file does to them
ends with the process that reads; the numbers come back through a pipe, as JSON and plain arrays, never as pickles.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError, NanobragError
from nanobrag_torch.io.reading import PathLike, read_bytes

if TYPE_CHECKING:
    from nanobrag_torch.io.nexus import NexusContent
    from nanobrag_torch.io.reflections import Reflections

MEMORY, SECONDS = 6 * 2**30, 120
"""What a reader may take: bytes of address space, and seconds of processor time."""
_MARK = b"nanobrag_torch reply\n"
_ENDINGS = {
    signal.SIGSEGV: "crashes the library that reads it",
    signal.SIGABRT: "crashes the library that reads it",
    signal.SIGBUS: "crashes the library that reads it",
    signal.SIGFPE: "crashes the library that reads it",
    signal.SIGXCPU: f"takes more than {SECONDS} s to read",
    signal.SIGKILL: "takes too much memory or time to read",
}


def read_nexus_apart(path: PathLike, frames: slice = slice(None), outside: bool = False) -> NexusContent:
    """`io.nexus.read_nexus` in a process of its own; raises as it does, and where that process ends before its time."""
    from nanobrag_torch.io.nexus import NexusContent
    from nanobrag_torch.io.scene import ScenePanel

    told, arrays = _asked("nexus", path, {"frames": [frames.start, frames.stop, frames.step], "outside": outside})
    panels: list[dict[str, Any]] = [
        {k: np.array(v) if isinstance(v, list) else v for k, v in panel.items()} for panel in told.pop("panels")
    ]
    whole: dict[str, Any] = {**told, **arrays, "panels": tuple(ScenePanel(**panel) for panel in panels)}
    return NexusContent(**whole)


def read_mtz_apart(path: PathLike, column: str | None = None, default_F: float = 0.0) -> Reflections:
    """`io.mtz.read_mtz` in a process of its own; raises as it does, and where that process ends before its time."""
    from nanobrag_torch.io.hkl import ReflectionGrid
    from nanobrag_torch.io.reflections import Reflections

    told, arrays = _asked("mtz", path, {"column": column, "default_F": default_F})
    origin = tuple(told["origin"])
    grid = ReflectionGrid(arrays["values"], origin, told["count"], default_F, arrays.get("given"))
    return Reflections(grid, tuple(told["cell"]), told["space_group"], told["source"])


def _asked(kind: str, path: PathLike, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a child process says of a file."""
    name = os.fspath(path)
    # `-P`: nothing is imported from the working directory.
    command = [sys.executable, "-P", "-m", __name__, kind]
    request = json.dumps({"path": name, **options}).encode("ascii")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError as error:
        raise FileFormatError(path, "", f"no process can be started to read it: {error.strerror or error}") from error
    try:
        answer, _ = child.communicate(request, timeout=10 * SECONDS)
    except subprocess.TimeoutExpired as error:
        raise FileFormatError(path, "", f"takes more than {10 * SECONDS} s to read") from error
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    place = answer.find(_MARK)
    if place < 0:
        status = child.returncode
        why = _ENDINGS.get(signal.Signals(-status), "") if status < 0 and -status in set(signal.Signals) else ""
        raise FileFormatError(path, "", f"cannot be read: it {why or f'ends its reader with status {status}'}")
    told, arrays = _unpacked(answer[place + len(_MARK) :])
    _raise_told(path, told)
    return told, arrays


def _raise_told(path: PathLike, told: Mapping[str, Any]) -> None:
    error = told.get("error")
    if error is None:
        return
    kind, words = error["kind"], error["words"]
    if kind == "input":
        raise InputError(*map(str, words[:3]))
    raise FileFormatError(path, *map(str, words[1:3]))


def _packed(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    head = json.dumps({"told": told, "arrays": list(arrays)}).encode("ascii")
    buffer.write(_MARK + len(head).to_bytes(8, "little") + head)
    for array in arrays.values():
        np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _unpacked(answer: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    buffer = io.BytesIO(answer)
    head = json.loads(buffer.read(int.from_bytes(buffer.read(8), "little")))
    return head["told"], {name: np.lib.format.read_array(buffer, allow_pickle=False) for name in head["arrays"]}


def _nexus(request: Mapping[str, Any]) -> bytes:
    from nanobrag_torch.io.nexus import read_nexus

    found = read_nexus(request["path"], slice(*request["frames"]), request["outside"])
    panels = [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(panel).items()} for panel in found.panels
    ]
    told = {"panels": panels, "wavelength": found.wavelength, "osc": found.osc, "curved": found.curved}
    told["made"] = found.made
    arrays = {name: getattr(found, name) for name in ("data", "mask", "phi", "spindle", "cell")}
    return _packed(told, {name: array for name, array in arrays.items() if array is not None})


def _mtz(request: Mapping[str, Any]) -> bytes:
    from nanobrag_torch.io.mtz import read_mtz

    found = read_mtz(request["path"], request["column"], request["default_F"])
    grid = found.grid
    told = {"origin": grid.origin, "count": grid.count, "cell": found.cell, "space_group": found.space_group}
    arrays = {"values": grid.values} if grid.given is None else {"values": grid.values, "given": grid.given}
    return _packed({**told, "source": found.source}, arrays)


def _limit() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        soft, hard = resource.getrlimit(kind)
        wanted = most if soft == resource.RLIM_INFINITY else min(most, soft)
        resource.setrlimit(kind, (wanted, hard))


def _serve(kind: str) -> int:
    """Read one file as the request on the standard input says; answer on the standard output."""
    _limit()
    request = json.loads(sys.stdin.buffer.read())
    try:
        read_bytes(request["path"])
        answer = {"nexus": _nexus, "mtz": _mtz}[kind](request)
    except InputError as error:
        answer = _packed({"error": {"kind": "input", "words": [error.field, error.problem, error.advice]}}, {})
    except FileFormatError as error:
        answer = _packed({"error": {"kind": "file", "words": ["", error.where, error.problem]}}, {})
    except NanobragError as error:
        answer = _packed({"error": {"kind": "file", "words": ["", "", str(error)]}}, {})
    except MemoryError:
        problem = f"needs more than {MEMORY >> 30} GB to read"
        answer = _packed({"error": {"kind": "file", "words": ["", "", problem]}}, {})
    except Exception as error:
        problem = f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())})"
        answer = _packed({"error": {"kind": "file", "words": ["", "", problem]}}, {})
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_serve(sys.argv[1]))
