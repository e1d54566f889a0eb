"""What the compiled kernel itself forms on the way to one pixel: its source in a tracing build (csrc/trace.c)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import torch

from nanobrag_torch import native
from nanobrag_torch.errors import BackendUnavailable, MemoryBudgetError
from nanobrag_torch.kernels.packing import pack_scene
from nanobrag_torch.kernels.pixel_scene import PixelScene

LIBRARY = "nanobrag_trace"
Written = tuple[str, tuple[float, ...]]
"""A name as csrc/ has it, and the numbers written under it one after another."""


def kernel_trace(scene: PixelScene, pixel: int, dtype: torch.dtype, scale: float) -> Iterator[Written]:
    """The numbers that the kernel of a pixel forms, in its order; lengths in Å or m as the names say.

    The tracing build is the same source with one lane, compiled for the baseline instructions, on the processor.
    Nothing is left out of the sum, whatever the scene's tolerance.

    Args:
        scene: one panel, the sources, the crystal.
        pixel: index slow · pixels_f + fast.
        dtype: float64, or float32 from the fractions of h on.
        scale: factor on the total.

    Raises:
        BackendUnavailable: the library was not built.
        MemoryBudgetError: there is no memory.
    """
    library = native.load(LIBRARY)
    if library is None:
        raise BackendUnavailable("the trace of the kernel", native.why_missing(LIBRARY))
    function = library.nanobrag_pixel_trace
    function.restype = ctypes.c_int64
    with torch.no_grad():
        packed = pack_scene(replace(scene, limit=0.0), dtype)
    geometry, sources, cells, lattice, table = (tensor.detach().contiguous() for tensor in packed.tensors)
    config = torch.tensor(packed.config, dtype=torch.int64)
    addresses = [ctypes.c_void_p(t.data_ptr()) for t in (config, lattice, cells, table, geometry, sources)]

    def call(room: int) -> tuple[int, ctypes.Array[ctypes.c_char_p], ctypes.Array[ctypes.c_double]]:
        names, values = (ctypes.c_char_p * room)(), (ctypes.c_double * room)()
        told = (ctypes.c_int64(pixel), ctypes.c_double(scale), names, values, ctypes.c_int64(room))
        count = int(function(*addresses, *told))
        if count < 0:
            raise MemoryBudgetError("there is no memory for the sums; use fewer orientations or sources")
        return count, names, values

    count, _, _ = call(0)
    _, names, values = call(count)
    yield from _grouped([(name or b"").decode() for name in names], list(values))


def _grouped(names: list[str], values: list[float]) -> Iterator[Written]:
    """Vectors are written as three numbers of one name."""
    start = 0
    for end in range(1, len(names) + 1):
        if end == len(names) or names[end] != names[start]:
            yield names[start], tuple(values[start:end])
            start = end
