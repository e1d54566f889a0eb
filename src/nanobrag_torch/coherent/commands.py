"""What the three words of `nb-coherent` do; each returns the lines to print."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nanobrag_torch.coherent.compare import compare_states, resolution
from nanobrag_torch.coherent.files import (
    Product,
    ScanInfo,
    product_content,
    read_product,
    read_scan,
    scan_content,
)
from nanobrag_torch.coherent.frames import Frames, batches
from nanobrag_torch.coherent.likelihood import LikelihoodOptions
from nanobrag_torch.coherent.pictures import Panels, known_part, object_panels, picture
from nanobrag_torch.coherent.pie import PieOptions, State
from nanobrag_torch.coherent.ptychography import FarField, check_scan, intensities
from nanobrag_torch.coherent.reconstruct import Options, reconstruct, scanned
from nanobrag_torch.coherent.specimens import measure
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.files import WholeFiles
from nanobrag_torch.io.registry import FileRegistry
from nanobrag_torch.units import METRES_PER_ANGSTROM


def check_files(output: str, inputs: Mapping[str, str], more: Mapping[str, str] | None = None) -> None:
    """Refuse outputs that are inputs or one file, or that cannot be written.

    Args:
        output: behind `-o`; its picture stands beside it.
        inputs: files that are read, by the words that name them.
        more: other files that are written, likewise.

    Raises:
        InputError: before anything is read or computed.
    """
    known, beside = FileRegistry(), str(Path(output).with_suffix(".png"))
    for word, name in inputs.items():
        known.reads(name, word)
    for word, name in {"-o": output, **(more or {}), "the picture of -o": beside}.items():
        known.writes(name, word)


def simulate(said: argparse.Namespace) -> list[str]:
    """Draw a scan and write it, its truth if asked for, and a picture."""
    check_files(said.output, {}, {"--truth": said.truth} if said.truth else {})
    made = measure(said.size, said.side, said.step, said.photons, said.position_error, said.dead, said.seed)
    wavelength, distance = said.wavelength * METRES_PER_ANGSTROM, said.distance / 1000
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (wavelength, distance, said.pixel / 1000)]
    field = FarField(said.size, *numbers)
    shape = made.truth.target.shape
    check_scan(field, made.truth.probe, made.truth.positions, (shape[0], shape[1]))
    pixel = float(field.object_pixel)
    info = ScanInfo(made.said * pixel, made.mask, *(float(x) for x in numbers))
    parts: list[tuple[str, str, bytes | memoryview]] = [
        (said.output, "-o", scan_content(said.output, made.frames.counts, info))
    ]
    if said.truth:
        content = product_content(said.truth, Product(made.truth, pixel, wavelength, distance, "truth"))
        parts.append((said.truth, "--truth", content))
    seen = ("frame 0, log(1 + photons)", torch.log1p(made.frames.counts[0]).masked_fill(~made.mask, torch.nan))
    shown = _write(parts, object_panels(made.truth.target, scanned(made.truth), seen))
    return [f"{made.frames.count} frames in {said.output}, picture in {shown}"]


def _write(parts: list[tuple[str, str, bytes | memoryview]], panels: Panels) -> str:
    """Write files (path, flag, content) and a picture beside the first, all or none; returns the picture's name."""
    beside = str(Path(parts[0][0]).with_suffix(".png"))
    with WholeFiles() as files:
        for path, flag, content in [*parts, (beside, "picture", picture(panels))]:
            with files.file(path, flag) as handle:
                handle.write(content)
    return beside


def reconstruct_scan(said: argparse.Namespace) -> list[str]:
    """Reconstruct a scan and write the product and a picture."""
    check_files(said.output, {"SCAN": said.scan})
    options = Options(
        modes=said.modes,
        pie=PieOptions(
            epochs=said.epochs,
            batch=said.batch,
            seed=said.seed,
            positions_from=said.epochs if said.keep_positions else 10,
        ),
        likelihood=LikelihoodOptions(
            steps=said.likelihood_steps,
            batch=said.batch,
            readout=said.readout,
            positions=not said.keep_positions,
            smoothness=said.smoothness,
        ),
        likelihoods=2 if said.likelihood_steps else 0,
    )
    frames, info = read_scan(said.scan)
    with frames:
        pixel = info.object_pixel
        found = reconstruct(frames, info.mask, info.positions / pixel, options, progress=_Teller())
        lengths = [torch.tensor(x, dtype=torch.float64) for x in (info.wavelength, info.distance, info.detector_pixel)]
        rows, columns = found.state.target.shape
        check_scan(FarField(frames.size, *lengths), found.state.probe, found.state.positions, (rows, columns))
        rest, fit = residual(frames, found.state, info.mask)
    product = Product(found.state, pixel, info.wavelength, info.distance, Path(said.scan).stem)
    panels = object_panels(found.state.target, found.scanned, ("residual, photons^0.5", rest))
    shown = _write([(said.output, "-o", product_content(said.output, product))], panels)
    return [f"R factor of amplitudes {fit:.4f}", f"{said.output} written, picture in {shown}"]


@torch.no_grad()
def residual(frames: Frames, state: State, mask: Tensor) -> tuple[Tensor, float]:
    """Mean |√n − √I| of each pixel [N, N], NaN where masked, and Σ|√n − √I|/Σ√n over all of them."""
    size = frames.size
    total, above, below = torch.zeros(size, size, dtype=torch.float64), 0.0, 0.0
    for numbers in batches(frames.count, 32):
        seen = frames.read(numbers).clamp_min(0.0).sqrt()
        expected = intensities(state.target, state.probe, state.positions[numbers]).sqrt()
        apart = torch.where(mask, (seen - expected).abs(), 0.0)
        total += apart.sum(0)
        above, below = above + float(apart.sum()), below + float(torch.where(mask, seen, 0.0).sum())
    return (total / frames.count).masked_fill(~mask, torch.nan), above / below


def compare_products(said: argparse.Namespace) -> list[str]:
    """Compare two products and write numbers and a picture."""
    check_files(said.output, {"FOUND": said.found, "TRUTH": said.truth})
    first, second = read_product(said.found), read_product(said.truth)
    if abs(first.object_pixel / second.object_pixel - 1) > 1e-3:
        told = f"pixels of {first.object_pixel:.4g} m and {second.object_pixel:.4g} m"
        raise InputError("products", told, "compare results of one scan")
    found = compare_states(first.state, second.state)
    nanometres = 1e9 * resolution(found, second.object_pixel)
    numbers = {
        "error": found.aligned.error,
        "phase_error_rad": found.phase,
        "positions_rms_pixel": found.positions,
        "half_bit_resolution_nm": nanometres,
        "shift_pixel": list(found.aligned.shift),
        "ramp_rad_per_pixel": list(found.aligned.ramp),
        "ring_frequency": found.rings.frequency.tolist(),
        "ring_correlation": found.rings.correlation.tolist(),
    }
    apart = (found.aligned.found - found.aligned.truth).abs().masked_fill(~found.region, torch.nan)
    apart = apart[known_part(found.region)]
    content = (json.dumps(numbers, indent=1) + "\n").encode()
    panels = object_panels(found.aligned.found, found.region, ("|found - truth|", apart))
    shown = _write([(said.output, "-o", content)], panels)
    places = "not comparable" if found.positions is None else f"{found.positions:.3f} pixel rms"
    return [
        f"aligned error {100 * found.aligned.error:.2f} %, phase {found.phase:.4f} rad rms",
        f"positions {places}; half-bit resolution {nanometres:.3g} nm",
        f"{said.output} written, picture in {shown}",
    ]


class _Teller:
    """Prints progress to stderr, at most once a second."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, stage: str, done: int, steps: int, misfit: float) -> None:
        now = time.monotonic()
        if now - self.last >= 1.0 or done == steps:
            self.last = now
            print(f"{stage} {done}/{steps}  misfit a frame {misfit:.5g}", file=sys.stderr, flush=True)
