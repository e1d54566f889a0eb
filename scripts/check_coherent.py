"""Prints what coherent imaging can show, as tables for reports/coherent.md.

    python scripts/check_coherent.py > reports/coherent.md
    python scripts/check_coherent.py --streaming          (peak memory; where /proc tells the truth)

A stored result of ptychi on the same scans (reports/coherent-ptychi.json, with its provenance) is printed beside ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig, Simulator, settle
from nanobrag_torch.coherent.compare import compare_states
from nanobrag_torch.coherent.crystal import array_image, cell_weights
from nanobrag_torch.coherent.files import ScanInfo, read_scan, write_scan
from nanobrag_torch.coherent.likelihood import LikelihoodOptions
from nanobrag_torch.coherent.pie import PieOptions
from nanobrag_torch.coherent.ptychography import intensities
from nanobrag_torch.coherent.reconstruct import Options, reconstruct
from nanobrag_torch.coherent.specimens import measure

PEER = Path(__file__).parents[1] / "reports" / "coherent-ptychi.json"
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
        f"| one displacement for all, and none | {float((array_image(scene, moved) - found).abs().max()) / peak:.1e} |",
    ]


def parseval_line() -> str:
    """Photons in frames of a phase object against those in the probe."""
    scan = measure(count=3, noise=False, dead=0.0)
    phase = scan.truth.target / scan.truth.target.abs()
    photons = intensities(phase, scan.truth.probe, scan.truth.positions).sum((1, 2))
    power = float((scan.truth.probe.abs() ** 2).sum())
    return f"Parseval, photons of a frame against those of the probe: {float((photons / power - 1).abs().max()):.1e}"


def scan_lines() -> list[str]:
    """Errors of reconstructions with an unknown probe, wrong positions, noise, dead pixels and a beam stop."""
    peer = json.loads(PEER.read_text()) if PEER.exists() else {}
    lines = [
        "## Ptychography, 225 frames of 64 x 64, positions wrong by ±2 pixels, 5 % dead pixels and a beam stop",
        "",
        "| photons a frame | aligned error | positions, pixel rms | time, s | ptychi: error | its time, s |",
        "|---|---|---|---|---|---|",
    ]
    for power in (6, 5, 4):
        scan = measure(photons=10.0**power)
        begin = time.process_time()
        found = reconstruct(scan.frames, scan.mask, scan.said, OPTIONS)
        took = time.process_time() - begin
        result = compare_states(found.state, scan.truth)
        beside = peer.get("results", {}).get(f"1e{power}")
        other = "not run | not run" if beside is None else f"{100 * beside['error']:.2f} % | {beside['seconds']:.0f}"
        lines.append(
            f"| 10^{power} | {100 * result.aligned.error:.2f} % | {result.positions:.3f} | {took:.0f} | {other} |"
        )
    if peer:
        lines += ["", f"ptychi: {peer['provenance']}"]
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
    before, after, seconds = (float(x) for x in told.stdout.split())
    return [
        f"## Streaming: {frames} frames of 64 x 64 from HDF5 (two epochs of rPIE, two steps of likelihood)",
        "",
        "| resident with the program loaded, MB | at most, MB | for the work, MB | time, s |",
        "|---|---|---|---|",
        f"| {before:.0f} | {after:.0f} | {after - before:.0f} | {seconds:.0f} |",
    ]


def resident(field: str) -> float:
    """Resident memory of this process alone, MB: `VmRSS` now, `VmHWM` at most."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return float(line.split()[1]) / 1000


def stream(path: str) -> None:
    """The child of `streaming_lines`."""
    begin = resident("VmRSS")
    clock = time.perf_counter()
    frames, info = read_scan(path)
    with frames:
        options = Options(pie=PieOptions(epochs=2, positions_from=1, probe_from=1), likelihoods=1)
        options = Options(pie=options.pie, likelihood=LikelihoodOptions(steps=2), likelihoods=1)
        reconstruct(frames, info.mask, info.positions / info.object_pixel, options)
    print(begin, resident("VmHWM"), time.perf_counter() - clock)


def main() -> None:
    if sys.argv[1:2] == ["--streaming"]:
        print("\n".join(streaming_lines()))
        return
    if sys.argv[1:2] == ["--stream"]:
        torch.set_num_threads(1)
        stream(sys.argv[2])
        return
    torch.set_num_threads(1)
    print("# Coherent imaging: what it shows\n\nMade by `scripts/check_coherent.py`.\n")
    for lines in (crystal_lines, lambda: [parseval_line()], scan_lines):
        print("\n".join(lines()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
