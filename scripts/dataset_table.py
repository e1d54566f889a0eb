"""Measure data sets: rates, memory, scaling, and labels against pictures, DIALS and fine sums; `reports/dataset.md`.

Every part can be measured alone and keeps what the others found: `dataset_table.py labels rates scaling report`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
NUMBERS, CRASH, PAGE = (ROOT / "reports" / name for name in ("dataset.json", "dataset_crash.json", "dataset.md"))
DIALS_PYTHON = "/usr/bin/python3"

STILL = """\
seed: 7
images: {images}
scene:
  {amplitudes}
  cell_a: 79
  cell_b: 79
  cell_c: 38
  shape: gauss
  wavelength_A: 1.0
  fluence: 1e25
  distance_mm: {distance}
  pixels_f: {width}
  pixels_s: {height}
  pixel_mm: {pixel}
  oversample: 1
  water_um: 0.2
  Na: 20
  Nb: 20
  Nc: 40
vary:
  orientation: {{rotations: all}}
  fluence: {{log_normal: [1e25, 0.3]}}
shards: {{images: {shard}}}
"""
SMALL = {"distance": 110, "width": 256, "height": 256, "pixel": 0.3}
LARGE = {"distance": 200, "width": 1679, "height": 1475, "pixel": 0.1}
SPOTS = """\
seed: 5
images: 64
scene: {{cell_a: 80, cell_b: 90, cell_c: 100, default_F: 100, shape: {shape}, wavelength_A: 1.0, fluence: 1e25,
  distance_mm: 150, pixels_f: 256, pixels_s: 256, pixel_mm: 0.1, oversample: 3, Na: 8, Nb: 8, Nc: 8{more}}}
vary:
  orientation: {{rotations: all}}
labels: {{noise_free: true}}
"""
SPOT_IMAGES = 48
PREDICT = """
import sys
import numpy as np
from dials.algorithms.spot_prediction import ScanStaticReflectionPredictor, StillsReflectionPredictor
from dials.array_family import flex
from dxtbx.model import ExperimentList
worst, count = 0.0, 0
for name in sys.argv[1:]:
    e = ExperimentList.from_file(name + ".expt", check_format=False)[0]
    r = flex.reflection_table.from_file(name + ".refl")
    mine = np.array(r["xyzcal.px"])
    if e.scan is None:
        again = r.copy()
        again["entering"] = flex.bool(len(r), True)
        StillsReflectionPredictor(e, dmin=1.0).for_reflection_table(again, e.crystal.get_A())
        off = np.abs(np.array(again["xyzcal.px"])[:, :2] - mine[:, :2]).max(1)
    else:
        p = ScanStaticReflectionPredictor(e, dmin=1.0, padding=3.0).for_ub(e.crystal.get_A())
        places = {}
        for h, x in zip(p["miller_index"], p["xyzcal.px"]):
            places.setdefault(h, []).append(x)
        off = []
        for h, x in zip(r["miller_index"], mine):
            near = [np.abs(np.array(y) - x)[:2].max() for y in places.get(h, []) if abs(y[2] - x[2]) < 0.1]
            off += [min(near)] if near else []
        off = np.array(off)
    worst, count = max(worst, float(off.max())), count + len(off)
print(worst, count)
"""


def population(text: str, folder: Path) -> Any:
    from nanobrag_torch.dataset.reading import read_population

    (folder / "d.yaml").write_text(text)
    return read_population(folder / "d.yaml")


def table_of_amplitudes(folder: Path) -> None:
    """A reflection table to 3 Å of the crystal of `STILL`."""
    rng = np.random.default_rng(1)
    h, k, l = (x.ravel() for x in np.meshgrid(*(np.arange(-n, n + 1) for n in (27, 27, 13)), indexing="ij"))
    kept = (h / 79) ** 2 + (k / 79) ** 2 + (l / 38) ** 2 < (1 / 3.0) ** 2
    rows = np.stack([h[kept], k[kept], l[kept], rng.exponential(200, kept.sum())], axis=1)
    np.savetxt(folder / "t.hkl", rows, fmt="%d %d %d %.2f")


def centroids(shape: str, more: str, least: float, fine: int = 3) -> dict[str, Any]:
    """Distances between labelled places and centroids of noise-free spots, each rendered alone with all its streaks."""
    from nanobrag_torch.dataset.images import Maker

    reach, found = 40, []
    text = SPOTS.format(shape=shape, more=more).replace("oversample: 3", f"oversample: {fine}")
    with tempfile.TemporaryDirectory() as name:
        maker = Maker(population(text, Path(name)))
        for sample in maker.samples(range(SPOT_IMAGES)):
            table, base = sample.reflections, maker.experiment(sample.number)
            middle = np.maximum(np.abs(table["fast"] - 128), np.abs(table["slow"] - 128)) < 127 - reach
            for place in np.flatnonzero((table["partiality"] >= least) & middle):
                fast, slow = table["fast"][place], table["slow"][place]
                alone = only(base, [int(table[x][place]) for x in "hkl"])
                s, f, photons = window(alone, int(fast), int(slow), reach)
                whole = photons.sum()
                found.append(
                    np.hypot((photons * (f + 0.5)).sum() / whole - fast, (photons * (s + 0.5)).sum() / whole - slow)
                )
    return {
        "spots": len(found),
        "median": float(np.median(found)),
        "p95": float(np.percentile(found, 95)),
        "max": float(np.max(found)),
    }


def only(base: Any, hkl: list[int]) -> Any:
    """The scene with one reflection."""
    import torch

    from nanobrag_torch.kernels.structure_factors import StructureFactors

    zero = torch.zeros((), dtype=torch.float64)
    alone = StructureFactors(torch.full((1, 1, 1), 100.0, dtype=torch.float64), tuple(hkl), zero, 1)
    return base.replace(crystal=base.crystal.replace(structure_factors=alone, interpolate=False))


def window(scene: Any, fast: int, slow: int, reach: int) -> tuple[Any, Any, Any]:
    """Slow and fast of the pixels within `reach`, and their photons."""
    import torch

    from nanobrag_torch import Simulator

    rows, columns = torch.arange(slow - reach, slow + reach + 1), torch.arange(fast - reach, fast + reach + 1)
    s, f = (x.reshape(-1) for x in torch.meshgrid(rows, columns, indexing="ij"))
    return s.numpy(), f.numpy(), Simulator(scene).run(torch.stack([s, f], dim=1)).values[0].numpy()


def dials() -> dict[str, Any]:
    """The largest distance between labelled and DIALS' predicted places, stills and rotations, tilted detector."""
    from nanobrag_torch.dataset.dials import dials_files
    from nanobrag_torch.dataset.images import Maker

    found = {}
    for kind, more in (("stills", ""), ("rotations", ", osc_deg: 0.5, phi_steps: 10, phi_deg: 20")):
        more = f", cell_beta: 100, twotheta_deg: 7, rotx_deg: 3{more}"
        with tempfile.TemporaryDirectory() as name:
            maker = Maker(population(SPOTS.format(shape="gauss", more=more), Path(name)))
            files, names = dials_files(maker), []
            for sample in maker.samples(range(8)):
                names.append(f"{name}/{sample.number}")
                for suffix, content in files(sample).items():
                    Path(f"{names[-1]}.{suffix}").write_bytes(content)
            done = subprocess.run([DIALS_PYTHON, "-c", PREDICT, *names], capture_output=True, text=True)
            if done.returncode:
                return {"why not": done.stderr.strip().splitlines()[-1]}
            worst, count = done.stdout.split()[-2:]
            found[kind] = {"reflections": int(count), "max": float(worst)}
    return found


VOLUME = {"square": 1.0, "round": 1.0, "gauss": (np.pi * 0.315) ** 1.5, "tophat": 4 / 3 * np.pi * 0.3969**1.5}
"""The integral of |L|² over reciprocal space, in units of N/V; G = 1."""


def partialities(shape: str, count: int = 10) -> dict[str, Any]:
    """Partialities against sums over phi of one reflection alone, over the closed form of the whole; in percent."""
    import torch

    from nanobrag_torch.dataset.images import Maker
    from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED

    osc, steps, reach, size = 0.4, 40, 100, 512
    fine = 6 if shape == "tophat" else 1
    reach = 8 if shape == "tophat" else reach
    text = SPOTS.format(shape=shape, more=f", osc_deg: {osc}, phi_steps: {steps}")
    text = text.replace("oversample: 3", f"oversample: {fine}").replace("256", str(size))
    with tempfile.TemporaryDirectory() as name:
        maker = Maker(population(text, Path(name)))
        (sample,) = maker.samples([3])
        base = maker.experiment(3)
    table, cells = sample.reflections, np.array(sample.parameters["cell_vectors"]).reshape(3, 3)
    half = size // 2
    inside = (np.abs(table["fast"] - half) < half - reach) & (np.abs(table["slow"] - half) < half - reach)
    inside &= table["partiality"] > 0.1
    axis, incident = base.scan.axis.numpy(), base.beam.direction.numpy()
    wavelength, volume = float(base.beam.wavelength), abs(np.linalg.det(cells))
    errors = []
    for place in np.flatnonzero(inside)[:: max(inside.sum() // count, 1)][:count]:
        hkl = [int(table[x][place]) for x in "hkl"]
        one = only(base, hkl)
        width = float(np.radians(osc))
        step = torch.tensor(width / 200, dtype=torch.float64)
        one = one.replace(scan=one.scan.replace(start=one.scan.start + 0.5 * step, step=step, steps=200))
        fast, slow = int(table["fast"][place]), int(table["slow"][place])
        part = float(window(one, fast, slow, reach)[2].sum()) * width
        # The whole: r_e² Φ F² P λ² (∫|L|² d³q) / |dε/dφ|, with ε = |s0 + q| - 1/λ.
        q = np.array(hkl) @ np.linalg.inv(cells).T
        turn = table["phi"][place] - np.radians(sample.parameters["phi_deg"])
        q = axis * (axis @ q) * (1 - np.cos(turn)) + q * np.cos(turn) + np.cross(axis, q) * np.sin(turn)
        ray = (incident / wavelength + q) / np.linalg.norm(incident / wavelength + q)
        polarization = 0.5 * (1 + (ray @ incident) ** 2)
        integral = VOLUME[shape] * float(base.crystal.N.prod()) / volume
        photons = CLASSICAL_ELECTRON_RADIUS_SQUARED * float(base.beam.fluence) * 100.0**2 * polarization
        whole = photons * wavelength**2 * integral / abs(ray @ np.cross(axis, q))
        errors.append(table["partiality"][place] - part / whole)
    worst = 100 * np.abs(errors)
    return {"reflections": len(errors), "median": float(np.median(worst)), "max": float(worst.max())}


def labels() -> dict[str, Any]:
    found: dict[str, Any] = {"centroids": {}, "partialities": {}}
    for shape in ("gauss", "round", "tophat", "square"):
        found["centroids"][f"{shape}, stills"] = centroids(shape, "", 0.5, 24 if shape == "tophat" else 3)
    found["centroids"]["gauss, 12 domains of 0.3 deg"] = centroids(
        "gauss", ", mosaic_domains: 12, mosaic_spread_deg: 0.3", 0.2
    )
    found["centroids"]["gauss, 0.4 deg in 20 steps"] = centroids("gauss", ", osc_deg: 0.4, phi_steps: 20", 0.2)
    found["dials"] = dials()
    for shape in ("gauss", "round", "tophat", "square"):
        found["partialities"][shape] = partialities(shape)
    return found


def _memory_mb() -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1000


def _work(kind: str, size: dict[str, Any], place: int, count: int, gate: Any, answers: Any) -> None:
    import torch

    from nanobrag_torch.dataset.images import Maker
    from nanobrag_torch.dataset.shards import write_shard

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table_of_amplitudes(folder)
        shard = max(count // 2, 1)
        text = STILL.format(images=100_000, amplitudes="hkl_file: t.hkl", shard=shard, **size)
        maker = Maker(population(text, folder))
        list(maker.samples(range(2)))
        gate.wait()
        began, cpu = time.perf_counter(), time.process_time()
        if kind == "rendered":
            for _ in maker.samples(range(place * count, (place + 1) * count)):
                pass
        else:
            for part in (0, 1):
                write_shard(maker, folder, 2 * place + part)
        answers.put((time.perf_counter() - began, time.process_time() - cpu, _memory_mb()))


def rate(kind: str, size: dict[str, Any], processes: int, count: int) -> dict[str, float]:
    """Images per second of some processes together, and the processor time of an image."""
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_work, args=(kind, size, i, count, gate, answers)) for i in range(processes)]
    for worker in workers:
        worker.start()
    found = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return {
        "images": processes * count,
        "per_s": processes * count / max(wall for wall, _, _ in found),
        "cpu_ms": 1000 * sum(cpu for _, cpu, _ in found) / (processes * count),
        "memory_mb": max(memory for _, _, memory in found),
    }


def rates() -> dict[str, Any]:
    """Best of two, for the machine has other users."""

    def best(*words: Any) -> dict[str, float]:
        return max((rate(*words) for _ in range(2)), key=lambda r: r["per_s"])

    return {
        "load": os.getloadavg()[0],
        "256 x 256 rendered, 1 process": best("rendered", SMALL, 1, 320),
        "256 x 256 rendered, 2 processes": best("rendered", SMALL, 2, 320),
        "256 x 256 written, 2 processes": best("written", SMALL, 2, 320),
        "1475 x 1679 written, 2 processes": best("written", LARGE, 2, 4),
        "256 x 256 written, 2 processes, four times as many": rate("written", SMALL, 2, 1280),
    }


def nothing(x: int) -> int:
    return x


def scaling() -> dict[str, Any]:
    """The cost of a task that does nothing, handed out and collected."""
    from nanobrag_torch import engine

    where = engine.Where(workers=2, ahead=50)
    began = time.perf_counter()
    list(engine.map(abs, range(2), where=where))
    start = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    list(engine.map(abs, range(4000), where=where))
    wall, cpu = time.perf_counter() - began - start, time.process_time() - cpu
    return {"start_s": start, "task_ms": 1000 * wall / 4000, "task_cpu_ms": 1000 * cpu / 4000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["labels", "rates", "scaling"])
    said = parser.parse_args()
    known = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    for part in said.parts:
        if part != "report":
            known[part] = {"labels": labels, "rates": rates, "scaling": scaling}[part]()
            NUMBERS.write_text(json.dumps(known, indent=1) + "\n")
    sys.path.insert(0, str(ROOT / "scripts"))
    from dataset_page import page

    crash = json.loads(CRASH.read_text()) if CRASH.exists() else None
    PAGE.write_text(page(known, crash))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
