"""The kernels on NVIDIA cards: csrc/card.cu, compiled by NVRTC when a scene first asks, launched by cuda-core.

The code is the processors' (csrc/), specialised to the scene's choices. The phase is native double: cards for computing
(V100, A100, H100, B200) do double at half the single rate. Consumer cards do it at a 32nd or 64th; there the indices of
dtype float32 are formed in pairs of singles (csrc/pairs.h), with the accuracy that their split needs.

Compiled programs are kept in a folder of the user's cache, by what they were compiled from.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import torch

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels import card
from nanobrag_torch.kernels.card import Question
from nanobrag_torch.kernels.shapes import CODES

SOURCES = Path(__file__).parent / "csrc"
THREADS = 128
GROUP = 32
BLOCKS_PER_PROCESSOR = 16
"""Blocks in flight per multiprocessor; more would only wait."""

CHOICES = {
    "SHAPE": 0, "LOOKUP": 1, "EXACT_RADIUS": 2, "SINGLE": 3, "CURVATURE": 16, "POINT_PIXEL": 17, "HAS_SENSOR": 18,
    "POLARIZED": 19, "PER_TERM_OMEGA": 20, "PER_TERM_POLAR": 21, "PER_TERM_THICK": 22, "BACKGROUND": 23,
    "HAS_DMIN": 24,
}  # fmt: skip
"""Places in the configuration of what a program is specialised to (csrc/problem.h)."""

SLOW_DOUBLE = ((7, 5), (8, 6), (8, 7), (8, 9), (12, 0), (12, 1))
"""Compute capabilities that do double at a 32nd or 64th of the single rate."""

_FIRST_USE = RLock()
"""cuda-core is imported, and a card opened, by one thread."""


def _core() -> Any:
    """cuda-core, which fails where two threads import it at once."""
    with _FIRST_USE:
        import cuda.core

        return cuda.core


def why_not(device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> str | None:
    """Why the kernels cannot serve, in one sentence, or `None`."""
    if device.type != "cuda":
        return f"it computes on CUDA devices, not on {device}; use backend cpu or reference"
    if shape not in CODES:
        return f"it does not know the shape {shape}; use backend reference"
    if find_spec("cuda") is None or find_spec("cuda.core") is None:
        return "cuda-core is not installed; pip install 'nanobrag_torch[cuda]', or use backend reference"
    return None


def macros(question: Question, capability: tuple[int, int]) -> list[tuple[str, str]]:
    """What a program is specialised to, for the compiler."""
    config = question.config
    lattice_only = len(config) <= CHOICES["CURVATURE"]
    fixed = {name: 0 if at >= len(config) else config[at] for name, at in CHOICES.items()}
    one_term = not lattice_only and config[12:15] == (1, 1, 1) and not fixed["BACKGROUND"] and not fixed["HAS_DMIN"]
    simple = one_term and not fixed["CURVATURE"] and not fixed["HAS_SENSOR"]
    found = [("FIXED", "1"), ("ONLY", question.name), ("THREADS_PER_BLOCK", str(THREADS))]
    found += [(f"FIXED_{name}", str(value)) for name, value in fixed.items()]
    found += [("FIXED_SIMPLE", str(int(simple))), ("FIXED_ONE_TERM", str(int(one_term)))]
    return found + ([("PAIRS", "1")] if capability in SLOW_DOUBLE else [])


def compiled(
    question: Question, capability: tuple[int, int], *, say: Callable[[str], None] | None = None, log: Any = None
) -> bytes:
    """The program [cubin] that answers a question on cards of a compute capability; the compiler's words go to `log`.

    Raises:
        BackendUnavailable: NVRTC is missing, or refuses.
    """
    core = _core()
    options = {"arch": f"sm_{capability[0]}{capability[1]}", "std": "c++17", "ptxas_options": ["-v"]}
    given = macros(question, capability)
    if say is not None:
        say(f"compiling {question.name} for sm_{capability[0]}{capability[1]} (once)")
    source = (SOURCES / "card.cu").read_text()
    try:
        settings: Any = {**options, "define_macro": given, "include_path": str(SOURCES)}
        return bytes(core.Program(source, "c++", core.ProgramOptions(**settings)).compile("cubin", logs=log).code)
    except Exception as error:  # the package raises its own and the libraries' errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        what = f"NVRTC did not compile the kernels: {reason}; install nvidia-cuda-nvrtc for your driver"
        raise BackendUnavailable("cuda", what) from error


@cache
def _sources_digest() -> str:
    texts = [path.read_bytes() for path in sorted(SOURCES.glob("*.h"))] + [(SOURCES / "card.cu").read_bytes()]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def cache_folder() -> Path:
    """Where compiled programs are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nanobrag_torch"


def _from_cache(question: Question, capability: tuple[int, int]) -> bytes:
    key = repr((_sources_digest(), macros(question, capability), capability, torch.version.cuda))
    path = cache_folder() / (hashlib.sha256(key.encode()).hexdigest() + ".cubin")
    if path.is_file():
        return path.read_bytes()
    say = (lambda line: print(line, file=sys.stderr, flush=True)) if sys.stderr.isatty() else None
    program = compiled(question, capability, say=say)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(program)
        part.replace(path)
    except OSError:
        pass  # a cache that cannot be written is no cache
    return program


class Card:
    """Launches on torch's current stream of one card."""

    threads, group = THREADS, GROUP

    def __init__(self, index: int) -> None:
        properties = torch.cuda.get_device_properties(index)
        self.capability = (properties.major, properties.minor)
        self.pairs = self.capability in SLOW_DOUBLE
        self.most_blocks = properties.multi_processor_count * BLOCKS_PER_PROCESSOR
        self._device = _core().Device(index)
        self._kernels: dict[tuple[str, Question], Any] = {}
        self._loading = Lock()

    def launch(self, entry: str, question: Question, blocks: int, arguments: Sequence[int | float]) -> None:
        """Run an entry, compiled when it is first asked for."""
        core = _core()
        self._device.set_current()
        kernel = self._kernel(entry, question)
        stream = core.Stream.from_handle(torch.cuda.current_stream().cuda_stream)
        core.launch(stream, core.LaunchConfig(grid=blocks, block=THREADS), kernel, *arguments)

    def _kernel(self, entry: str, question: Question) -> Any:
        chosen = Question(question.name, _choices(question.config))
        if (entry, chosen) not in self._kernels:
            program = _from_cache(question, self.capability)  # threads compile different programs side by side
            with self._loading:  # and one of them is kept
                if (entry, chosen) not in self._kernels:
                    self._kernels[entry, chosen] = _core().ObjectCode.from_cubin(program).get_kernel(entry)
        return self._kernels[entry, chosen]


def _choices(config: tuple[int, ...]) -> tuple[int, ...]:
    """What of a configuration makes another program."""
    picked = [config[at] for at in CHOICES.values() if at < len(config)]
    return (*picked, int(config[12:15] == (1, 1, 1)))


@cache
def _made(index: int) -> Card:
    return Card(index)


def _card(index: int) -> Card:
    with _FIRST_USE:
        return _made(index)


def _on_card(function: Callable[..., Any], *arguments: Any) -> Any:
    tensor = next(x for x in _flat(arguments) if isinstance(x, torch.Tensor) and x.is_cuda)
    with torch.cuda.device(tensor.device):
        return function(_card(tensor.device.index), *arguments)


def _flat(arguments: tuple[Any, ...]) -> list[Any]:
    return [part for x in arguments for part in (x if isinstance(x, tuple) else (x,))]


lattice_sum = partial(_on_card, card.lattice_sum)
lattice_sum_vjp = partial(_on_card, card.lattice_sum_vjp)
pixel_sum = partial(_on_card, card.pixel_sum)
pixel_sum_vjp = partial(_on_card, card.pixel_sum_vjp)
pixel_sum_jvp = partial(_on_card, card.pixel_sum_jvp)
