"""Prints what coherent imaging can show, as tables for reports/coherent.md.

    python scripts/check_coherent.py > reports/coherent.md
    python scripts/check_coherent.py streaming   (one section alone)

Peak memory is that of a process of its own, as /proc tells it. Results of ptychi on the same scans, which
scripts/coherent_peers.py stored with where they came from, are printed beside ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig, Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.coherent.bragg import PhasingOptions, fit_cells, phase_starts
from nanobrag_torch.coherent.compare import compare_states
from nanobrag_torch.coherent.crystal import array_image, cell_weights, lattice_intensity
from nanobrag_torch.coherent.files import ScanInfo, read_scan, write_scan
from nanobrag_torch.coherent.likelihood import LikelihoodOptions
from nanobrag_torch.coherent.metrics import align, phase_error
from nanobrag_torch.coherent.pie import PieOptions
from nanobrag_torch.coherent.ptychography import intensities
from nanobrag_torch.coherent.reconstruct import Options, reconstruct
from nanobrag_torch.coherent.specimens import dislocated_crystal, measure
from nanobrag_torch.errors import NanobragWarning, ParityError
from nanobrag_torch.parity.programs import find_c_program

PEER = Path(__file__).parents[1] / "reports" / "coherent-ptychi.json"
LARGEST_PHASE_ERROR = 0.15
C_LINE = (
    "-cell 60 65 70 85 100 95 -misset 11 22 33 -Na 5 -Nb 4 -Nc 6 -default_F 100 -lambda 1.0 -distance 90 "
    "-detpixels_x 24 -detpixels_y 20 -pixel 1.5 -detector_rotx 5 -detector_roty -7 -detector_rotz 3 -twotheta 8 "
    "-oversample 2 -phi 5 -osc 1 -phisteps 3 -nonoise"
)
OPTIONS = Options(pie=PieOptions(epochs=60), likelihood=LikelihoodOptions(steps=25))


def crystal_lines() -> list[str]:
    """Whole cells against the square shape, and a displacement that all share."""
    scene = settle(
        Config(
            crystal=CrystalConfig(
                cell_a=40.0, cell_b=50.0, cell_c=60.0, Na=6, Nb=5, Nc=7, default_F=100.0, misset_deg=(5.0, 10.0, 15.0)
            ),
            beam=BeamConfig(wavelength_A=1.3, fluence=1e24),
            detector=DetectorConfig(
                pixels_f=64, pixels_s=64, pixel_mm=0.2, distance_mm=60.0, rotx_deg=7.0, roty_deg=-4.0, twotheta_deg=8.0
            ),
            sampling=SamplingConfig(oversample=2, osc_deg=0.5, phi_steps=3),
        ),
        physics="exact",
    )
    ones = torch.ones(6, 5, 7, dtype=torch.float64)
    wanted, found = Simulator(scene).run().array, array_image(scene, ones)
    moved = cell_weights((1, 2, 3), torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64).expand(6, 5, 7, 3))
    peak = float(wanted.max())
    return [
        "## A crystal as an array (64 x 64 pixels, tilted detector, 3 phi steps, oversampled 2)",
        "",
        "| what | largest difference over the peak |",
        "|---|---|",
        f"| w = 1 and the square shape | {float((found - wanted).abs().max()) / peak:.1e} |",
        f"| w = 1 and the C program (traced pixels, over each pixel) | {against_c()} |",
        f"| one displacement for all, and none | {float((array_image(scene, moved) - found).abs().max()) / peak:.1e} |",
    ]


def against_c() -> str:
    """Largest relative difference of crystals of whole cells from pixels that the C program traces with 17 digits."""
    try:
        program = find_c_program()
    except ParityError:
        return "no C program here"
    if not program.is_reference:
        return "the C program here traces no pixels"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        scene = settle(parse(C_LINE.split()), "nanobragg")
    ours, worst = array_image(scene, torch.ones(5, 4, 6, dtype=torch.float64)), 0.0
    for slow, fast in ((3, 4), (0, 0), (19, 23), (10, 12), (7, 18), (15, 2)):
        words = [str(program.path), *C_LINE.split(), "-trace_pixel", str(slow), str(fast)]
        with tempfile.TemporaryDirectory() as folder:
            told = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout
        (value,) = (float(line.split()[2]) for line in told.splitlines() if " pixel.I_pixel_final " in line)
        worst = max(worst, abs(float(ours[slow, fast]) / value - 1.0))
    return f"{worst:.1e}"


def dislocation_lines(cells: int = 24, photons: float = 1e6) -> list[str]:
    """Ten random starts of phase retrieval on a crystal with a dislocation, and the likelihood after the best."""
    weights, grid = dislocated_crystal(cells), 2 * cells
    line = (torch.arange(grid, dtype=torch.float64) - cells) / grid
    points = torch.split(torch.cartesian_prod(line, line, line), 4096)
    field = torch.cat([lattice_intensity(some, weights[None]) for some in points]).reshape(grid, grid, grid)
    counts = torch.poisson(field * (photons / field.sum()), generator=torch.Generator().manual_seed(1))
    inner, box = slice(cells // 2, 3 * cells // 2), slice(cells // 2 - 1, 3 * cells // 2 + 1)
    truth = torch.zeros(grid, grid, grid, dtype=torch.complex128)
    truth[inner, inner, inner] = weights.conj()
    widest = torch.zeros(grid, grid, grid, dtype=torch.bool)
    widest[box, box, box] = True

    def error(density: torch.Tensor) -> float:
        aligned = align(density, truth, ramp=False, twin=True)
        return phase_error(aligned, aligned.truth.abs() > 0.5 * aligned.truth.abs().max())

    def forward(density: torch.Tensor) -> torch.Tensor:
        return torch.fft.fftshift(torch.fft.fftn(density, norm="ortho").abs() ** 2)

    begin = time.process_time()
    starts = phase_starts(counts, widest, PhasingOptions())
    took = time.process_time() - begin
    errors = [error(one.density) for one in starts]
    cells_found, _ = fit_cells(starts[0].density, starts[0].support, counts, forward, 30)
    good = sum(one <= LARGEST_PHASE_ERROR for one in errors)
    spread = ", ".join(f"{one:.3f}" for one in errors)
    return [
        f"## A strained crystal of {cells}³ cells with a screw dislocation, {photons:,.0f} photons",
        "",
        "| what | value |",
        "|---|---|",
        f"| phase error in the support, best of {len(starts)} starts (by misfit) | {errors[0]:.3f} rad |",
        f"| the same after maximum likelihood | {error(cells_found):.3f} rad |",
        f"| starts within {LARGEST_PHASE_ERROR} rad | {good} of {len(starts)} |",
        f"| all, by misfit, rad | {spread} |",
        f"| misfits of the best and the worst | {starts[0].misfit:.4f}, {starts[-1].misfit:.4f} |",
        f"| time, s | {took:.0f} |",
    ]


def parseval_lines() -> list[str]:
    """Photons in frames of a phase object against those in the probe."""
    scan = measure(count=3, noise=False, dead=0.0)
    phase = scan.truth.target / scan.truth.target.abs()
    photons = intensities(phase, scan.truth.probe, scan.truth.positions).sum((1, 2))
    power = float((scan.truth.probe.abs() ** 2).sum())
    return [f"Parseval, photons of a frame against those of the probe: {float((photons / power - 1).abs().max()):.1e}"]


def scan_lines() -> list[str]:
    """Errors of reconstructions with an unknown probe, wrong positions, noise, dead pixels and a beam stop."""
    peer = json.loads(PEER.read_text()) if PEER.exists() else {}
    lines = [
        "## Ptychography, 225 frames of 64 x 64, positions wrong by ±2 pixels, 5 % dead pixels and a beam stop",
        "",
        "| photons a frame | aligned error | positions, pixel rms | time, s "
        "| ptychi: error | positions | time, s | set up as |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for power in (6, 5, 4):
        scan = measure(photons=10.0**power)
        begin = time.process_time()
        found = reconstruct(scan.frames, scan.mask, scan.said, OPTIONS)
        took = time.process_time() - begin
        result = compare_states(found.state, scan.truth)
        beside = peer.get("results", {}).get(f"1e{power}")
        checksum = hashlib.sha256(scan.frames.counts.numpy().tobytes()).hexdigest()
        if beside is None or beside.get("frames_sha256") != checksum:
            other = "not run on these frames | | |"
        else:
            numbers = f"{100 * beside['error']:.2f} % | {beside['positions_rms_pixel']:.3f}"
            other = f"{numbers} | {beside['seconds']:.0f} | {beside['best']}"
        lines.append(
            f"| 10^{power} | {100 * result.aligned.error:.2f} % | {result.positions:.3f} | {took:.0f} | {other} |"
        )
    if "versions" in peer:
        used = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
        lines += [
            "",
            f"ptychi read the same files and began with the same probe ({used}; one thread, single precision). Of the "
            "ways of setting it up in reports/coherent-ptychi.json the one with the least error against the truth is "
            "shown for each number of photons. Times are of the processor.",
        ]
    return lines


def streaming_lines(frames: int = 5216) -> list[str]:
    """Peak memory of a reconstruction from a file, in a process of its own, above what an idle one takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "long.cxi")
        scan = measure(count=72, photons=1e5)
        info = ScanInfo(scan.said[:frames] * 3e-8, scan.mask, 1.5e-10, 2.0, 1.5e-10 * 2.0 / (64 * 3e-8))
        write_scan(path, scan.frames.counts[:frames], info)
        del scan
        told = subprocess.run([sys.executable, __file__, "--stream", path], capture_output=True, text=True, check=True)
    before, after = (float(x) for x in told.stdout.split())
    return [
        f"## Streaming: {frames} frames of 64 x 64 from HDF5 (two epochs of rPIE, two steps of likelihood)",
        "",
        "| resident with the program loaded, MB | at most, MB | for the work, MB |",
        "|---|---|---|",
        f"| {before:.0f} | {after:.0f} | {after - before:.0f} |",
    ]


def resident(field: str) -> float:
    """Resident memory of this process alone, MB: `VmRSS` now, `VmHWM` at most."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return float(line.split()[1]) / 1000


def stream(path: str) -> None:
    """The child of `streaming_lines`."""
    begin = resident("VmRSS")
    frames, info = read_scan(path)
    with frames:
        options = Options(pie=PieOptions(epochs=2, positions_from=1, probe_from=1), likelihoods=1)
        options = Options(pie=options.pie, likelihood=LikelihoodOptions(steps=2), likelihoods=1)
        reconstruct(frames, info.mask, info.positions / info.object_pixel, options)
    print(begin, resident("VmHWM"))


SECTIONS = {
    "crystal": crystal_lines,
    "dislocation": dislocation_lines,
    "parseval": parseval_lines,
    "scans": scan_lines,
    "streaming": streaming_lines,
}


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--stream"]:
        stream(sys.argv[2])
        return
    wanted = sys.argv[1:] or list(SECTIONS)
    if len(wanted) == len(SECTIONS):
        print("# Coherent imaging: what it shows\n\nMade by `scripts/check_coherent.py`.\n")
    for name in wanted:
        print("\n".join(SECTIONS[name]()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
