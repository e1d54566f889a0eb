"""Let independent programs judge our image files, and print what each of them recovers.

    python scripts/interoperability.py [--tools PYTHON] [--keep FOLDER] [--report FILE]

Renders a sweep of ten images in SMV, miniCBF and NeXus, and single NeXus images of swung, tilted and several-panel
detectors. fabio, dxtbx, nxmx and nxvalidate read them; DIALS finds and indexes the spots, and
refines and predicts from experiment lists and reflection tables that we have written. DIALS is used if
`dials.import` is on the PATH (Debian: `apt-get install dials`); nxmx and nexusformat are looked for in PYTHON
(`pip install nxmx nexusformat`). A program that is missing is a row that says so. Status 1 if any bound is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nanobrag_torch import Simulator, __version__, settle
from nanobrag_torch.cli.outputs import Results, header
from nanobrag_torch.config import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig
from nanobrag_torch.io.cbf import read_cbf, write_cbf
from nanobrag_torch.io.expt import config_fields, read_expt
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.nexus import NexusImages, write_nexus
from nanobrag_torch.io.refl import read_refl, write_refl
from nanobrag_torch.io.scene import cell_constants
from nanobrag_torch.io.smv import write_smv
from nanobrag_torch.legacy_random import LegacyRandom, Stream
from nanobrag_torch.physics.noise import noise_image
from nanobrag_torch.pipeline.describe import describe, pixel_masks
from nanobrag_torch.refine.frames import read_frames
from nanobrag_torch.spots import predict

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
IMAGES, OSC_DEG, STEPS = 10, 1.0, 20
PIXELS, PIXEL_MM, DISTANCE_MM, ORIGIN = 1024, 0.1, 100.0, (505.3, 520.7)
STRONG = 60.0
"""Photons in the brightest pixel from which a simulated spot has to be found."""
SATURATION = 65535
BOUNDS = {"corner": 1.0, "beam": 0.01, "distance": 1.0, "spots": 95.0, "cell": 0.2, "orientation": 0.1}
"""µm, pixels, µm, percent, percent, degrees."""


@dataclass
class Table:
    """Rows of the report, and whether all bounds held."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, what: str, reader: str, found: str, good: bool | None) -> None:
        """A row; `good` of `None` = not judged."""
        verdict = {True: "yes", False: "**no**", None: "not run"}[good]
        self.rows.append((what, reader, found, verdict))
        print(f"{what} | {reader} | {found} | {verdict}", flush=True)
        if good is False:
            self.failed.append(f"{what}, {reader}")


def sweep_config(phi: float) -> Config:
    """One image of the sweep: a made protein, XDS geometry, beam off the centre.

    In the XDS convention -Xbeam and -Ybeam only reach the SMV header, where dxtbx expects an ADXV beam centre, less a
    pixel each way.
    """
    f, s = ((x - 0.5) * PIXEL_MM for x in ORIGIN)
    return Config(
        CrystalConfig(
            cell_a=45.0, cell_b=55.0, cell_c=65.0, hkl_file=str(EXAMPLES / "P1.hkl"), shape="gauss",
            Na=12, Nb=12, Nc=12, misset_deg=(11.0, 23.0, 37.0), water_um=0.1,
        ),
        BeamConfig(wavelength_A=1.0, fluence=2e27),
        DetectorConfig(
            convention="XDS", pixels_f=PIXELS, pixels_s=PIXELS, pixel_mm=PIXEL_MM, distance_mm=DISTANCE_MM,
            ORGX=ORIGIN[0], ORGY=ORIGIN[1],
            Xbeam_mm=f - PIXEL_MM, Ybeam_mm=PIXELS * PIXEL_MM - s + PIXEL_MM,
        ),
        SamplingConfig(phi_deg=phi, osc_deg=OSC_DEG, phi_steps=STEPS, oversample=1),
    )  # fmt: skip


def render_sweep(folder: Path) -> np.ndarray:
    """Write the sweep in all three formats; returns the images without noise [n, slow, fast]."""
    ideal = []
    first = settle(sweep_config(0.0))
    scene = describe(first)
    starts = [i * OSC_DEG for i in range(IMAGES)]

    def frames() -> Iterator[tuple[np.ndarray, ...]]:
        for number, phi in enumerate(starts, start=1):
            config = sweep_config(phi)
            image = Simulator(settle(config)).run()
            # The header of the C program, which the faithful mode writes: Xbeam and Ybeam as given.
            results = Results.of(replace(image, experiment=settle(config, physics="nanobragg")), config)
            ideal.append(results.values)
            with_offset, counts = (
                noise_image(results.values, LegacyRandom(), Stream.from_seed(number), adc=adc).counts
                for adc in (results.adc, 0.0)
            )
            write_smv(folder / f"smv_{number:04d}.img", with_offset, header(results))
            write_cbf(folder / f"cbf_{number:04d}.cbf", counts, scene, saturation=SATURATION, phi=phi)
            yield (counts.astype(np.int32),)

    images = NexusImages(frames(), starts, pixel_masks(first), saturation=SATURATION)
    write_nexus(folder / "nexus.nxs", images, scene)
    return np.array(ideal)


def other_geometries() -> dict[str, Config]:
    """Detectors that only NeXus can describe in full."""
    base = sweep_config(5.0)
    small = replace(
        base,
        crystal=replace(base.crystal, hkl_file=None, default_F=100.0),
        detector=replace(base.detector, pixels_f=300, pixels_s=200, ORGX=120.0, ORGY=90.0),
        sampling=replace(base.sampling, phi_steps=1),
    )

    def turned(**fields: object) -> Config:
        return replace(small, detector=replace(small.detector, **fields))

    parts: dict[str, dict] = {}
    for name, value in config_fields(read_expt(EXAMPLES / "multipanel.expt")).items():
        part, _, own = name.partition(".")
        parts.setdefault(part, {})[own] = value
    panels = replace(
        small,
        crystal=replace(small.crystal, **parts["crystal"], cell_a=None, misset_deg=None),
        beam=replace(small.beam, **parts["beam"]),
        detector=DetectorConfig(**parts["detector"]),
        sampling=replace(small.sampling, **parts["sampling"]),
    )
    return {
        "swung by 15°": turned(twotheta_deg=15.0),
        "tilted (3°, −4°, 2°)": turned(rotx_deg=3.0, roty_deg=-4.0, rotz_deg=2.0),
        "tilted and swung, MOSFLM": turned(
            convention="MOSFLM", rotx_deg=3.0, roty_deg=-4.0, rotz_deg=2.0, twotheta_deg=-20.0
        ),
        "six panels (multipanel.expt)": panels,
    }


def dials_python() -> str | None:
    """The interpreter of DIALS: that of its commands."""
    program = shutil.which("dials.import")
    if program is None:
        return None
    first = Path(program).read_text().splitlines()[0]
    return first.removeprefix("#!").strip()


def environment() -> dict[str, str]:
    """An environment in which other programs find the filter of bitshuffle."""
    import hdf5plugin

    return {**os.environ, "HDF5_PLUGIN_PATH": hdf5plugin.PLUGINS_PATH}


def run(words: list[str], cwd: Path) -> str:
    """The standard output of a program; a failure is shown and raised."""
    done = subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    return done.stdout


def dxtbx_facts(python: str, cwd: Path, *words: str):
    """What `dxtbx_facts.py` prints."""
    return json.loads(run([python, str(HERE / "dxtbx_facts.py"), *words], cwd).splitlines()[-1])


def check_fabio(table: Table, folder: Path, ideal: np.ndarray) -> None:
    """SMV and miniCBF by fabio: counts and header."""
    import fabio

    generator = LegacyRandom(), Stream.from_seed(1)
    counts = noise_image(ideal[0], *generator, adc=0.0).counts.astype(np.int64)
    smv, cbf = fabio.open(str(folder / "smv_0001.img")), fabio.open(str(folder / "cbf_0001.cbf"))
    seen = np.clip(smv.data.astype(np.int64) - 40, 0, None)
    distance = abs(float(smv.header["DISTANCE"]) - DISTANCE_MM) * 1000
    equal = bool((seen == np.clip(counts, 0, 65495)).all())
    found = f"counts {'equal' if equal else 'differ'}; distance off by {distance:.2g} µm"
    table.add("SMV", f"fabio {fabio.version}", found, equal and distance <= BOUNDS["distance"])
    text = cbf.header["_array_data.header_contents"]
    x, y = (float(v) for v in re.search(r"Beam_xy \(([\d.]+), ([\d.]+)\)", text).groups())
    distance = abs(float(re.search(r"Detector_distance ([\d.]+) m", text)[1]) * 1e6 - DISTANCE_MM * 1000)
    off = max(abs(x - ORIGIN[0] + 0.5), abs(y - ORIGIN[1] + 0.5))
    equal = bool((cbf.data == counts).all())
    found = f"counts {'equal' if equal else 'differ'}; beam off by {off:.2g} px, distance by {distance:.2g} µm"
    good = equal and off <= BOUNDS["beam"] and distance <= BOUNDS["distance"]
    table.add("miniCBF", f"fabio {fabio.version}", found, good)


def check_nexus(table: Table, tools: str, path: Path, what: str, corners: np.ndarray) -> None:
    """A NeXus file by nxvalidate, and by nxmx: corners by its dependency chains."""
    probe = [
        tools,
        "-c",
        "import nxmx, nexusformat, importlib.metadata as m; print(m.version('nxmx'), nexusformat.__version__)",
    ]
    have = subprocess.run(probe, capture_output=True, text=True, check=False)
    if have.returncode:
        table.add(what, "nxmx, nxvalidate", "not installed (pip install nxmx nexusformat)", None)
        return
    nxmx, nexusformat = have.stdout.split()
    said = run([str(Path(tools).parent / "nxvalidate"), "-w", str(path)], path.parent)
    said = re.sub(r"\x1b\[[\d;]*m", "", said)
    errors, warnings = (int(re.search(rf"Total number of {kind}: (\d+)", said)[1]) for kind in ("errors", "warnings"))
    table.add(what, f"nxvalidate, nexusformat {nexusformat}", f"{errors} errors, {warnings} warnings", errors == 0)
    program = """
import sys, json, h5py, numpy as np, nxmx
f = h5py.File(sys.argv[1])
detector = nxmx.NXmx(f).entries[0].instruments[0].detectors[0]
out = []
for m in detector.modules:
    A = nxmx.get_cumulative_transformation(nxmx.get_dependency_chain(m.fast_pixel_direction.depends_on))[0]
    n = [int(x) for x in m.data_size[::-1]]
    axes = m.fast_pixel_direction, m.slow_pixel_direction
    d = [x[()].to("mm").magnitude.item() * np.asarray(x.vector) for x in axes]
    out.append([(A @ [*(i * n[0] * d[0] + j * n[1] * d[1]), 1.0])[:3].tolist() for j in (0, 1) for i in (0, 1)])
print(json.dumps(out))
"""
    out = np.array(json.loads(run([tools, "-c", program, str(path)], path.parent)))
    off = 1000.0 * float(np.abs(out * [-1.0, 1.0, -1.0] - corners).max())
    table.add(what, f"nxmx {nxmx}", f"corners off by {off:.2g} µm", off <= BOUNDS["corner"])


def check_dxtbx(table: Table, python: str, path: Path, what: str, corners: np.ndarray) -> None:
    """The pixel-to-lab mapping of dxtbx at the corners of every panel."""
    facts = dxtbx_facts(python, path.parent, "geometry", str(path))[0]
    off = 1000.0 * float(np.abs(np.array(facts["corners"]) - corners).max())
    found = f"corners off by {off:.2g} µm"
    good = off <= BOUNDS["corner"]
    if facts["beam_centre"] is not None and "tilted" not in what and "swung" not in what:
        x, y = facts["beam_centre"]
        beam = max(abs(x - ORIGIN[0] + 0.5), abs(y - ORIGIN[1] + 0.5))
        distance = abs(facts["distance"] - DISTANCE_MM) * 1000.0
        found += f"; beam off by {beam:.2g} px, distance by {distance:.2g} µm"
        good = good and beam <= BOUNDS["beam"] and distance <= BOUNDS["distance"]
    table.add(what, f"dxtbx, {facts['format']}", found, good)


def corners_of(scene, turn: np.ndarray) -> np.ndarray:
    """Corners [panels, 4, 3] in mm, in another frame."""
    return np.array([1000.0 * panel.corners() @ turn.T for panel in scene.panels])


def flat_header_frame(scene) -> np.ndarray:
    """The rotation into the frame that dxtbx gives to SMV and miniCBF: fast +x, slow -y, beam -z."""
    panel = scene.panels[0]
    return np.diag([1.0, -1.0, -1.0]) @ np.array([panel.fast, panel.slow, scene.beam.direction])


def simulated_spots(ideal: np.ndarray) -> np.ndarray:
    """Places (fast, slow, image) [n, 3] of the local maxima of at least `STRONG` photons, in pixels and images."""
    padded = np.pad(ideal, ((1, 1), (3, 3), (3, 3)))
    local = np.zeros_like(ideal)
    for image in range(len(ideal)):
        block = padded[image : image + 3].max(axis=0)
        windows = np.lib.stride_tricks.sliding_window_view(block, (7, 7))
        local[image] = windows.max(axis=(2, 3))
    image, slow, fast = np.nonzero((ideal == local) & (ideal >= STRONG) & (ideal < 0.8 * SATURATION))
    return np.array([fast + 0.5, slow + 0.5, image + 0.5]).T


def nearby(spots: np.ndarray, seen: np.ndarray) -> float:
    """Percent of spots within 3 pixels and 1.5 images of a seen one."""
    scale = np.array([3.0, 3.0, 1.5])
    close = [bool((np.abs((seen - spot) / scale) <= 1.0).all(axis=1).any()) for spot in spots]
    return 100.0 * float(np.mean(close))


def check_dials(table: Table, python: str, folder: Path, kind: str, turn: np.ndarray, scene, spots: np.ndarray) -> None:
    """Import, find and index the sweep of one format."""
    files = {"SMV": "smv_*.img", "miniCBF": "cbf_*.cbf", "NeXus": "nexus.nxs"}[kind]
    place = folder / f"dials_{kind}"
    place.mkdir()
    run(["dials.import", *(str(p) for p in sorted(folder.glob(files)))], place)
    run(["dials.find_spots", "imported.expt", "nproc=2"], place)
    run(["dials.index", "imported.expt", "strong.refl"], place)
    facts = dxtbx_facts(python, place, "indexed", str(place))
    seen = nearby(spots, np.array(facts["centroids"]))
    both = nearby(spots, np.array(facts["indexed_centroids"]))
    share = 100.0 * facts["indexed"] / facts["found"]
    cell, angle = lattice_errors(np.array(facts["A"]).reshape(3, 3), np.linalg.inv(scene.cell @ turn.T))
    counted = f"{facts['indexed']} of {facts['found']} found are indexed ({share:.1f}%)"
    found = f"{seen:.1f}% of {len(spots)} simulated spots found, {both:.1f}% indexed; {counted}"
    found += f"; cell within {cell:.3f}%; orientation within {angle:.3f}°"
    good = min(seen, both, share) >= BOUNDS["spots"] and cell <= BOUNDS["cell"] and angle <= BOUNDS["orientation"]
    version = run(["dials.version"], place).split("\n")[0]
    table.add(f"{kind}, ten images", f"{version} import, find_spots, index", found, good and facts["crystals"] == 1)


def check_lists(table: Table, folder: Path) -> None:
    """What DIALS indexed, read and written by us: refined by DIALS from our files, predicted by both, frames read."""
    place = folder / "dials_miniCBF"
    experiments, reflections = read_expt_list(place / "indexed.expt"), read_refl(place / "indexed.refl")
    write_expt_list(place / "ours.expt", experiments)
    write_refl(place / "ours.refl", reflections)
    same = (place / "ours.refl").read_bytes() == (place / "indexed.refl").read_bytes()
    run(["dials.refine", "ours.expt", "ours.refl", "output.experiments=again.expt"], place)
    run(["dials.refine", "indexed.expt", "indexed.refl", "output.experiments=first.expt"], place)
    (again,), (first,) = read_expt_list(place / "again.expt"), read_expt_list(place / "first.expt")
    cell, angle = lattice_errors(np.linalg.inv(again.crystal.cell), np.linalg.inv(first.crystal.cell))
    found = f"table {'the same bytes' if same else 'differs'}; refined from ours and from its own: cell within "
    found += f"{cell:.1e}%, orientation within {angle:.1e}°"
    version = run(["dials.version"], place).split("\n")[0]
    table.add(".expt, .refl, written again", f"{version} refine", found, same and cell < 1e-3 and angle < 1e-3)
    run(["dials.predict", "ours.expt", "d_min=2", "output=predicted.refl"], place)
    mine, theirs = predict(experiments[0], 2.0), read_refl(place / "predicted.refl")
    known = [
        {(*h, bool(e)): x for h, e, x in zip(t.indices.tolist(), t["entering"], t.predicted, strict=True)}
        for t in (mine, theirs)
    ]
    both = sorted(set(known[0]) & set(known[1]))
    away = np.abs(np.array([known[0][x] - known[1][x] for x in both])).max(axis=0)
    found = f"{len(both)} of {len(mine)} ours and {len(theirs)} of DIALS in common; at most {away[:2].max():.1e} pixel "
    found += f"and {away[2]:.1e} image apart"
    good = len(both) >= 0.98 * len(mine) and away.max() <= 0.02
    table.add("spots predicted from our .expt", f"{version} predict", found, bool(good))
    frames = read_frames(experiments)
    counts = [read_cbf(folder / f"cbf_{n:04d}.cbf")[0] for n in range(1, IMAGES + 1)]
    same = len(frames) == IMAGES and all((frames.counts[0][i] == image).all() for i, image in enumerate(counts))
    table.add(
        "frames named by the .expt of DIALS", "nanobrag_torch", f"counts {'equal' if same else 'differ'}", bool(same)
    )


def lattice_errors(found: np.ndarray, simulated: np.ndarray) -> tuple[float, float]:
    """Largest deviation of cell edges and angles (percent), and angle (degrees) between two lattices.

    Columns are a*, b*, c*; the found ones are first brought to the simulated choice of axes.
    """
    same = found @ np.rint(np.linalg.solve(found, simulated))
    u, _, v = np.linalg.svd(same @ np.linalg.inv(simulated))
    angle = np.degrees(np.arccos(np.clip((np.trace(u @ v) - 1.0) / 2.0, -1.0, 1.0)))
    return max(abs(a / b - 1.0) for a, b in zip(cell_of(same), cell_of(simulated), strict=True)) * 100.0, float(angle)


def cell_of(reciprocal: np.ndarray) -> list[float]:
    """a, b, c, alpha, beta, gamma (degrees) of columns a*, b*, c*."""
    constants: list[float] = cell_constants(np.linalg.inv(reciprocal)).tolist()
    return constants


def report(table: Table) -> str:
    """The table in Markdown."""
    lines = [
        "# Who reads our files, and what they recover",
        "",
        f"Made by `scripts/interoperability.py` with nanobrag_torch {__version__}. "
        f"A sweep of {IMAGES} images of {OSC_DEG:g}°, {PIXELS} × {PIXELS} pixels, with photon noise and background; "
        f"a simulated spot counts if its brightest pixel holds at least {STRONG:g} photons.",
        "",
        f"Bounds: corners {BOUNDS['corner']:g} µm, beam centre {BOUNDS['beam']:g} pixel, distance "
        f"{BOUNDS['distance']:g} µm, spots found and indexed {BOUNDS['spots']:g}%, cell {BOUNDS['cell']:g}%, "
        f"orientation {BOUNDS['orientation']:g}°, "
        "no error from nxvalidate.",
        "",
        "| file | read by | found | within bounds |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in table.rows),
    ]
    return "\n".join(lines) + "\n"


def judge(table: Table, folder: Path, tools: str) -> None:
    """Render everything and have it read."""
    ideal = render_sweep(folder)
    scene = describe(settle(sweep_config(0.0)))
    frames = {"SMV": flat_header_frame(scene), "miniCBF": flat_header_frame(scene), "NeXus": scene.to_imgcif}
    paths = {"SMV": folder / "smv_0001.img", "miniCBF": folder / "cbf_0001.cbf", "NeXus": folder / "nexus.nxs"}
    scenes = {"NeXus": scene}
    for number, (what, config) in enumerate(other_geometries().items()):
        experiment = settle(config)
        name = f"NeXus, {what}"
        scenes[name], paths[name] = describe(experiment), folder / f"other_{number}.nxs"
        frames[name] = scenes[name].to_imgcif
        image = Simulator(experiment).run().numpy()
        write_nexus(paths[name], NexusImages([image], [scenes[name].phi], pixel_masks(experiment)), scenes[name])
    check_fabio(table, folder, ideal)
    for what, known in scenes.items():
        check_nexus(table, tools, paths[what], what, corners_of(known, known.to_imgcif))
    python = dials_python()
    if python is None:
        table.add("all", "DIALS, dxtbx", "not installed (Debian: apt-get install dials)", None)
        return
    for what, path in paths.items():
        known = scenes.get(what, scene)
        check_dxtbx(table, python, path, what, corners_of(known, frames[what]))
    spots = simulated_spots(ideal)
    for kind in ("SMV", "miniCBF", "NeXus"):
        check_dials(table, python, folder, kind, frames[kind], scene, spots)
    check_lists(table, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", default=sys.executable, help="a Python that has nxmx and nexusformat")
    parser.add_argument("--keep", type=Path, help="leave the files in this new folder")
    parser.add_argument("--report", type=Path, default=HERE.parent / "reports" / "interoperability.md")
    said = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as temporary:
        folder = said.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        judge(table, folder.resolve(), said.tools)
    said.report.write_text(report(table))
    if table.failed:
        print("out of bounds:", "; ".join(table.failed), file=sys.stderr)
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
