"""Train the spot-finding network of the guide, and print how well it finds held-out and measured spots."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from nanobrag_torch.dataset import SimulatedDiffraction, read_population
from nanobrag_torch.io.refl import read_refl

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from spot_finder import assess, find, pair, score, train  # noqa: E402

HELD_OUT = 1_000_000
FRAMES = 15


def measured(net: torch.nn.Module, folder: Path, sweep: str, threshold: float) -> tuple[int, int, int, int]:
    """True, all found, recalled and all spots of a sweep's frames; the truth is what DIALS found strong."""
    import fabio

    table = read_refl(folder / f"sweep_{sweep}.refl")
    places, when = table.observed[:, :2], table.observed[:, 2]
    first = int(np.floor(when.min()))
    totals = np.zeros(4, dtype=int)
    for number in range(1, FRAMES + 1):
        path = folder / f"l-cyst_{sweep}_{number:05d}.cbf.gz"
        counts = torch.from_numpy(fabio.open(str(path)).data.astype(np.float32))[None]
        peaks = find(net, counts, threshold)
        off = np.abs(when - first - (number - 0.5))
        right, count, _ = score(peaks, places[off < 2.5], 4.0)
        _, _, recalled = score(peaks, places[off < 0.5], 4.0)
        totals += (right, count, recalled, int((off < 0.5).sum()))
    return tuple(int(n) for n in totals)  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=9600)
    parser.add_argument("--frames", type=Path, default=ROOT.parent / "shared" / "realdata" / "l_cysteine")
    parser.add_argument("-o", type=Path, default=ROOT / "reports" / "spot_network.md")
    said = parser.parse_args()
    torch.set_num_threads(1)
    population = read_population(ROOT / "examples" / "spots.yaml", said.images)
    began, cpu = time.perf_counter(), time.process_time()
    net = train(DataLoader(SimulatedDiffraction(population, transform=pair), batch_size=16))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    lines = [
        "# A spot-finding network",
        "",
        f"Trained on {said.images} images made meanwhile (`scripts/spot_network.py`): {cpu:.0f} s of one core",
        f"({wall:.0f} s by the clock, on a machine that others used too).",
    ]
    lines += ["", "| threshold | images | precision | recall |", "|---|---|---|---|"]
    held = list(SimulatedDiffraction(population, 200, first=HELD_OUT))
    for threshold in (0.3, 0.5, 0.7):
        precision, recall = assess(net, held, threshold)
        lines += [f"| {threshold} | 200 held out | {precision:.3f} | {recall:.3f} |"]
        for sweep in ("01", "02") if said.frames.is_dir() else ():
            right, count, recalled, all_ = measured(net, said.frames, sweep, threshold)
            precise = f"{right / max(count, 1):.3f} ({right} of {count})"
            recall_text = f"{recalled / max(all_, 1):.3f} ({recalled} of {all_})"
            lines += [f"| {threshold} | {FRAMES} frames of sweep {sweep} | {precise} | {recall_text} |"]
    lines += [
        "",
        "Held out: images of the same population that no training saw; recall counts reflections of 8 or more expected",
        "photons, precision peaks near any of at least 2. Frames: L-cysteine on a PILATUS 2M; recall counts the strong",
        "spots of DIALS whose centroid lies on the frame, precision peaks near one that is at most 2.5 frames away.",
    ]
    text = "\n".join(lines) + "\n"
    said.o.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
