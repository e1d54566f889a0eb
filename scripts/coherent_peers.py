"""Reconstruct the scans of check_coherent.py with ptychi, and keep what it finds with where it came from.

    python scripts/coherent_peers.py forward [--to tests/coherent/ptychi.json]
    python scripts/coherent_peers.py reconstruct [--photons 6 5 4] [--ways NAME ...] [--to reports/coherent-ptychi.json]

Both programs read the same file, start from the same probe and an empty object, and are measured by the same alignment.
Its engines are set up in several ways (`WAYS`; few epochs where noise is strong, as it ends up in the object); the best
of each number of photons is kept, chosen by its error against the truth, which favours it. torchvision, of which ptychi
uses one blur that plays no part here, is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nanobrag_torch.coherent.compare import compare_states
from nanobrag_torch.coherent.files import ScanInfo, read_scan, write_scan
from nanobrag_torch.coherent.pie import State
from nanobrag_torch.coherent.ptychography import intensities
from nanobrag_torch.coherent.reconstruct import starting_probe
from nanobrag_torch.coherent.specimens import measure

try:
    import torchvision  # noqa: F401
except ImportError:
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    sys.modules["torchvision.transforms"] = types.ModuleType("torchvision.transforms")
    sys.modules["torchvision.transforms"].GaussianBlur = None  # type: ignore[attr-defined]

from ptychi import api
from ptychi.api.task import PtychographyTask

ROOT = Path(__file__).parents[1]
PIXEL = 3e-8
FORWARD = ROOT / "tests" / "coherent" / "ptychi.json"
RESULTS = ROOT / "reports" / "coherent-ptychi.json"


@dataclass(frozen=True)
class Way:
    """How ptychi is set up."""

    engine: str = "lsqml"
    epochs: int = 150
    batch: int = 16
    step: float = 1.0
    momentum: float = 0.0
    positions: str = "adam"
    position_step: float = 0.05
    position_limit: float | None = None
    position_decay: float = 1.0
    positions_from: int = 10


WAYS = {
    "LSQML, positions by gradient": Way(positions="sgd", position_step=1.0, position_limit=0.5),
    "LSQML, positions by Adam": Way(),
    "LSQML, positions by decaying Adam": Way(position_step=0.1, position_decay=0.97),
    "LSQML, momentum, positions by decaying Adam": Way(position_step=0.1, position_decay=0.97, momentum=0.5),
    "LSQML, larger batches, positions by decaying Adam": Way(position_step=0.1, position_decay=0.97, batch=32),
    "LSQML, 60 epochs, positions by Adam": Way(epochs=60, positions_from=5),
    "LSQML, 60 epochs, positions by gradient": Way(
        epochs=60, positions="sgd", position_step=1.0, position_limit=0.5, positions_from=5
    ),
    "rPIE, positions by decaying Adam": Way(engine="rpie", position_step=0.1, position_decay=0.97),
    "rPIE, step 0.3, positions by decaying Adam": Way(engine="rpie", step=0.3, position_step=0.1, position_decay=0.97),
}


def versions() -> dict[str, str]:
    """What ran."""
    names = ("ptychi", "torch", "numpy")
    return {name: importlib.metadata.version(name) for name in names} | {"python": sys.version.split()[0]}


def options(way: Way, data: Any, mask: Any, probe: torch.Tensor, positions: torch.Tensor, target: torch.Tensor) -> Any:
    """Options of ptychi for frames [F, N, N], a probe [M, N, N], positions [F, 2] pixels and an object [H, W]."""
    made = {"lsqml": api.LSQMLOptions, "rpie": api.RPIEOptions}[way.engine]()
    made.data_options.data = data
    made.data_options.valid_pixel_mask = mask
    made.object_options.initial_guess = target[None]
    made.object_options.pixel_size_m = PIXEL
    made.object_options.step_size = way.step
    made.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
    # Its positions are those of the probe's middle: half a pixel on for even sizes, so that whole corners stay whole.
    made.object_options.position_origin_coords = [(probe.shape[-1] - 1.0) / 2.0] * 2
    made.object_options.patch_interpolation_method = api.PatchInterpolationMethods.FOURIER
    made.probe_options.initial_guess = probe[None] / probe.shape[-1]  # its transform is not orthonormal
    made.probe_options.step_size = way.step
    made.probe_options.optimization_plan.start = 2
    places = made.probe_position_options
    places.position_y_px, places.position_x_px = positions[:, 0], positions[:, 1]
    places.optimizable = way.positions != "none"
    places.optimization_plan.start = way.positions_from
    if places.optimizable:
        places.optimizer = getattr(api.Optimizers, way.positions.upper())
    if way.position_decay < 1.0:
        places.optimization_plan.step_size_scheduler_class = "ExponentialLR"
        places.optimization_plan.step_size_scheduler_options = {"gamma": way.position_decay}
    places.step_size = way.position_step
    places.correction_options.update_magnitude_limit = way.position_limit
    how = made.reconstructor_options
    how.num_epochs, how.batch_size = way.epochs, way.batch
    how.default_device, how.random_seed = api.Devices.CPU, 1
    if way.engine == "lsqml":
        how.noise_model = api.NoiseModels.GAUSSIAN
        how.momentum_acceleration_gain = way.momentum
    return made


def forward(to: Path) -> None:
    """Frames of both programs for small scans; kept with all that went in.

    One mode at places between pixels, and two modes at whole ones: ptychi moves only the first mode by the rest.
    """
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(15, 15, generator=generator, dtype=torch.complex128)
    between = torch.tensor([[2.3, 1.6], [0.0, 4.0], [4.45, 3.2]], dtype=torch.float64)
    scans = []
    for modes, corners in ((1, between), (2, between.round())):
        probe = torch.randn(modes, 8, 8, generator=generator, dtype=torch.complex128)
        ours = intensities(target, probe, corners)
        made = options(Way(positions="none"), ours.numpy(), np.ones((8, 8), bool), probe, corners, target)
        made.reconstructor_options.default_dtype = api.Dtypes.FLOAT64
        task = PtychographyTask(made)
        with torch.no_grad():
            frames = torch.fft.fftshift(task.reconstructor.forward_model(torch.arange(3)), dim=(-2, -1))
        print(f"{modes} modes, largest difference over the peak: {float((frames - ours).abs().max() / ours.max()):.1e}")
        numbers = {"probe": [probe.real.tolist(), probe.imag.tolist()], "corners": corners.tolist()}
        scans.append(numbers | {"frames": frames.tolist()})
    kept = {"made_by": "scripts/coherent_peers.py forward", "versions": versions(), "scans": scans}
    to.write_text(json.dumps(kept | {"object": [target.real.tolist(), target.imag.tolist()]}) + "\n")


def reconstruct(path: str, truth: State, way: Way) -> dict[str, Any]:
    """One run of ptychi on a file, and its measures."""
    frames, info = read_scan(path)
    with frames:
        counts = frames.read(range(frames.count))
    said = info.positions / info.object_pixel
    size = frames.size
    extent = said.max(0).values - said.min(0).values
    rows, columns = (int(float(x)) + size + 17 for x in extent)
    places = said - said.min(0).values + 8.0
    probe = starting_probe(float((counts * info.mask).sum()) / frames.count, size, said, 1).to(torch.complex64)
    target = torch.ones(rows, columns, dtype=torch.complex64)
    made = options(way, (counts * info.mask).numpy().astype(np.float32), info.mask.numpy(), probe, places, target)
    begin = time.process_time()
    task = PtychographyTask(made)
    task.run()
    took = time.process_time() - begin
    found = [task.get_data(name).to(torch.complex128) for name in ("object", "probe")]
    corner = task.get_data("probe_positions").to(torch.float64)
    limit = torch.tensor([found[0].shape[-2] - size, found[0].shape[-1] - size], dtype=torch.float64)
    state = State(found[0][0], size * found[1].reshape(-1, size, size), torch.minimum(corner.clamp_min(0.0), limit))
    result = compare_states(state, truth)
    return {"error": result.aligned.error, "positions_rms_pixel": result.positions, "seconds": took}


def all_scans(powers: list[int], names: list[str], to: Path) -> None:
    """Every way on every scan; the file is written after each, so that nothing is lost and more can be added."""
    for power in powers:
        scan = measure(photons=10.0**power)
        checksum = hashlib.sha256(scan.frames.counts.numpy().tobytes()).hexdigest()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "scan.cxi")
            lengths = (1.5e-10, 2.0, 1.5e-10 * 2.0 / (scan.frames.size * PIXEL))
            write_scan(path, scan.frames.counts, ScanInfo(scan.said * PIXEL, scan.mask, *lengths))
            for name in names:
                found = reconstruct(path, scan.truth, WAYS[name])
                print(power, name, found, flush=True)
                kept = json.loads(to.read_text()) if to.exists() else {}
                results = kept.get("results", {}) if kept.get("versions") == versions() else {}
                here = results.get(f"1e{power}", {})
                ways = (here.get("ways", {}) if here.get("frames_sha256") == checksum else {}) | {name: found}
                best = min(ways, key=lambda way: ways[way]["error"])
                results[f"1e{power}"] = {"frames_sha256": checksum, "best": best, **ways[best], "ways": ways}
                settings = {way: vars(WAYS[way]) for way in WAYS}
                whole = {"versions": versions(), "settings": settings, "results": results}
                whole["made_by"] = "scripts/coherent_peers.py reconstruct"
                to.write_text(json.dumps(whole, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["forward", "reconstruct"])
    parser.add_argument("--photons", nargs="+", type=int, default=[6, 5, 4], metavar="POWER")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="NAME")
    parser.add_argument("--to", type=Path)
    said = parser.parse_args()
    torch.set_num_threads(1)
    if said.what == "forward":
        forward(said.to or FORWARD)
    else:
        all_scans(said.photons, said.ways, said.to or RESULTS)


if __name__ == "__main__":
    main()
