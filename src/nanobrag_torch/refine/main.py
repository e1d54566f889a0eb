"""`nb-refine EXPT [REFL]`: measured frames in, better experiments with error bars out."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanobrag_torch import __version__
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.guard import guarded, interruptible
from nanobrag_torch.program import OK, run_parsed

if TYPE_CHECKING:
    from nanobrag_torch.refine.asked import Job
    from nanobrag_torch.refine.outcome import Present

PROGRESS = "progress.json"
_REFINE = "misset,cell,N,mosaic_spread,scale,detector"
_TELL = """\
EXPT is an experiment list of DIALS whose frames lie where it says, or beside it; several sweeps, or many stills, are
refined together (--shared says what they have in common). With REFL (indexed spots) the geometry is first brought in
order from centroids, and the pixels around these spots are fitted; without it, those around predicted spots that are
seen.

What can be refined: misset, cell (in its symmetry), N, mosaic_spread, scale, detector (shift and tilt), panels
(of several), amplitudes (one for each unique reflection), B, wavelength, phi, polarization_factor, and the other
quantities of the Python interface. In DIR are left: refined.expt, refined.refl, refined.json (values, standard
deviations, correlations), report.html, and amplitudes.mtz where amplitudes are refined.

  nb-refine sweep.expt sweep.refl --amplitudes data.mtz -o refined
  nb-refine stills.expt stills.refl --amplitudes data.mtz --refine misset,cell,scale,amplitudes
  nb-refine sweep.expt sweep.refl --amplitudes data.mtz --restrain cell_lengths=:0.01 --leave-out 3
  nb-refine sweep.expt sweep.refl --amplitudes data.mtz --scan-varying misset --knots 4 --profile N --mask mask.npy
"""


def parser() -> argparse.ArgumentParser:
    """The words of the command."""
    made = argparse.ArgumentParser(
        prog="nb-refine",
        description="Refine crystal, beam and detector against the pixels of measured frames.",
        epilog=_TELL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("expt", metavar="EXPT", help="experiment list, indexed")
    add("refl", metavar="REFL", nargs="?", help="its reflections with observed centroids")
    add("--amplitudes", required=True, metavar="FILE", help="MTZ or reflection mmCIF file")
    add("--column", metavar="NAME", help="column of the amplitudes [the first pair, or the first]")
    add("--refine", default=_REFINE, metavar="NAMES", help=f"what to refine, with commas [{_REFINE}]")
    add("--shared", metavar="NAMES",
        help="of these, what all experiments share [all but misset, scale, phi; of sweeps also but cell, N and mosaic "
             "spread; the detector where it is the same]")  # fmt: skip
    add("--restrain", action="append", default=[], metavar="NAME=MEAN:WIDTH",
        help="a prior in the user's units (mm, degrees, A); without MEAN the start")  # fmt: skip
    add("--profile", metavar="NAMES", help="profile likelihood of these: NAME, NAME[INDEX] or NAME[INDEX]@EXPERIMENT")
    add("--scan-varying", metavar="NAMES", help="let these vary over the scan of a sweep: misset, cell")
    add("--knots", type=int, metavar="K", help="values from the start to the end of the scan, splined [3]")
    add("--smooth", action="append", default=[], metavar="NAME=WIDTH",
        help="standard deviation of the change from one knot to the next, the user's units [any change]")  # fmt: skip
    add("--experiments", metavar="FIRST:LAST", help="only these experiments of the list, from 0, both included")
    add("--mask", metavar="FILE", help="pixels to leave out: image of zeros (out) and ones, NeXus pixel_mask, or .expt")
    add("--mask-ones-bad", action="store_true", help="in an image as a mask the ones are left out, as in pyFAI")
    add("--leave-out", type=int, default=0, metavar="K", help="predict every K-th image instead of fitting it")
    add("--most", type=int, default=500, metavar="N", help="spots of an experiment at most, the brightest [500]")
    add("--core", type=float, metavar="PIXELS", help="half width of what may hold a spot [from the observed spots]")
    add("--border", type=float, default=3.0, metavar="PIXELS", help="background around it [3]")
    add("--model-error", type=float, default=0.1, metavar="PART",
        help="how wrong the model of a spot may be in a pixel, as a part of it; 0: counting alone [0.1]")  # fmt: skip
    add("--gain", type=float, default=1.0, metavar="G", help="of photons already scaled by the list's gain [1]")
    add("--readout", type=float, default=0.0, metavar="PHOTONS", help="standard deviation of read-out noise [0]")
    add("--zinger", type=float, metavar="SIGMAS", help="pixels further off count linearly [all count as they are]")
    add("--cells", type=float, default=100.0, metavar="N", help="unit cells along a block at the start [100]")
    add("--mosaic", type=float, default=0.05, metavar="DEGREES", help="mosaic spread at the start [0.05]")
    add("--isotropic", action="store_true", help="one mosaic spread [three for a sweep, one for stills]")
    add("--domains", type=int, default=30, metavar="N", help="orientations that stand for it [30]")
    add("--phi-steps", type=int, default=4, metavar="N", help="steps over the rotation of an image [4]")
    add("--oversample", type=int, default=2, metavar="N", help="sub-pixels per side [2]")
    add("--locate", action="store_true", help="find camera and crystal first, from the first image")
    add("--no-centroids", action="store_true", help="begin with the pixels at once")
    add("--steps", type=int, default=60, metavar="N", help="steps at most [60]")
    add("--resume", action="store_true", help="go on where an interrupted run of the same folder stood")
    add("-o", "--output", default="refined", metavar="DIR", help="folder of the results [refined]")
    made.add_argument("--version", action="version", version=f"nanobrag_torch {__version__}")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 9 when the input is refused, or what `guard` returns."""
    return guarded("nb-refine", _run, argv)


def _run(words: list[str]) -> int:
    def refine(said: argparse.Namespace) -> int:
        _check(said)
        return interruptible(lambda: _refine(said, words))

    return run_parsed("nb-refine", parser(), words, refine)


def _check(said: argparse.Namespace) -> None:
    """Refuse numbers that cannot be, and outputs that are inputs."""
    infinite = float("inf")
    for names, low, advice in (
        (("most", "domains", "phi_steps", "oversample", "steps", "knots"), 1.0, "give 1 or more"),
        (("border", "model_error", "readout", "leave_out"), 0.0, "give 0 or a positive number"),
        (("gain", "cells", "mosaic", "core", "zinger"), 1e-300, "give a positive number"),
    ):
        for name in names:
            value = getattr(said, name)
            if value is not None and not low <= value < infinite:
                raise InputError(f"--{name.replace('_', '-')}", f"{value}", advice)
    if said.leave_out == 1:
        raise InputError("--leave-out", "every image would be left out", "give 2 or more, or 0 to leave out none")
    if (said.knots is not None or said.smooth) and said.scan_varying is None:
        flag = "--smooth" if said.knots is None else "--knots"
        raise InputError(flag, "nothing varies over the scan", "name it: --scan-varying misset,cell")
    if said.mask_ones_bad and said.mask is None:
        raise InputError("--mask-ones-bad", "there is no mask", "give one: --mask FILE")
    _check_files(said)


def _check_files(said: argparse.Namespace) -> None:
    from nanobrag_torch.io.registry import FileRegistry
    from nanobrag_torch.refine.result import OUTPUTS

    known = FileRegistry()
    inputs = {"EXPT": said.expt, "REFL": said.refl, "--amplitudes": said.amplitudes, "--mask": said.mask}
    for flag, file in inputs.items():
        if file is not None:
            known.reads(file, flag)
    folder = Path(said.output)
    if folder.exists() and not folder.is_dir():
        raise InputError("-o", f"{said.output} is a file", "name a folder")
    if folder.is_dir():
        for name in (*OUTPUTS, "amplitudes.mtz", PROGRESS):
            known.writes(folder / name, "-o")


def job_of(said: argparse.Namespace) -> Job:
    """What the words ask for."""
    from nanobrag_torch.refine.asked import Job
    from nanobrag_torch.refine.gather import Choice
    from nanobrag_torch.refine.likelihood import Noise
    from nanobrag_torch.refine.starting import CrystalStart

    model = CrystalStart(
        cells=said.cells,
        mosaic_deg=said.mosaic,
        anisotropic=False if said.isotropic else None,
        domains=said.domains,
        phi_steps=said.phi_steps,
        oversample=said.oversample,
    )
    return Job(
        said.expt,
        said.refl,
        said.amplitudes,
        column=said.column,
        refine=_names(said.refine, "--refine"),
        shared=None if said.shared is None else _names(said.shared, "--shared"),
        restraints=dict(_restraint(text) for text in said.restrain),
        model=model,
        choice=Choice(core=said.core, border=said.border, most=said.most, leave_out=said.leave_out),
        noise=Noise(said.gain, said.readout, said.zinger or float("inf"), said.model_error),
        centroids=not said.no_centroids,
        locate=said.locate,
        steps=said.steps,
        profile=() if said.profile is None else _names(said.profile, "--profile"),
        scan_varying=() if said.scan_varying is None else _names(said.scan_varying, "--scan-varying"),
        knots=said.knots or 3,
        smooth=dict(_width(text) for text in said.smooth),
        mask=said.mask,
        mask_ones_bad=said.mask_ones_bad,
        only=_range(said.experiments),
    )


def _names(text: str, flag: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise InputError(flag, "it names nothing", "give names with commas between them")
    return names


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition(":")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        raise InputError("--experiments", f"{text!r} are no numbers", "give FIRST:LAST, such as 0:99") from None
    if not 0 <= low <= high:
        raise InputError("--experiments", f"{text!r} is no range", "give FIRST:LAST, such as 0:99")
    return low, high


def _restraint(text: str) -> tuple[str, tuple[float | None, float]]:
    name, _, rest = text.partition("=")
    mean, _, width = rest.partition(":")
    try:
        found = (float(mean) if mean.strip() else None, float(width))
    except ValueError:
        raise InputError("--restrain", f"{text!r} is not understood", "give NAME=MEAN:WIDTH or NAME=:WIDTH") from None
    if not 0.0 < found[1] < float("inf"):
        raise InputError("--restrain", f"{text!r} has no positive width", "give NAME=MEAN:WIDTH or NAME=:WIDTH")
    return name.strip(), found


def _width(text: str) -> tuple[str, float]:
    name, _, width = text.partition("=")
    try:
        found = float(width)
    except ValueError:
        found = 0.0
    if not 0.0 < found < float("inf"):
        raise InputError("--smooth", f"{text!r} has no positive width", "give NAME=WIDTH, such as misset=0.01")
    return name.strip(), found


def _refine(said: argparse.Namespace, words: list[str]) -> int:
    import torch

    from nanobrag_torch.io.files import whole_file
    from nanobrag_torch.refine.job import run

    job, folder = job_of(said), Path(said.output)
    kept = folder / PROGRESS
    begin = _resumed(kept, words) if said.resume else None
    began = time.monotonic()
    last = 0.0

    def keep(present: Present) -> None:
        nonlocal last
        if time.monotonic() - max(last, began) < 5.0:
            return
        last = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        values = [{name: value.tolist() for name, value in shot.items()} for shot in present()]
        with whole_file(kept, "-o") as handle:
            handle.write(json.dumps({"words": _lasting(words), "values": values}).encode())

    values = None
    if begin is not None:
        values = [{name: torch.tensor(x, dtype=torch.float64) for name, x in shot.items()} for shot in begin]
    result = run(job, lambda text: print(text, flush=True), values, keep)
    print(result.table())
    for place, summary in list(enumerate(result.summaries))[:3]:
        for name, one in summary.items():
            if one is not None:
                print(f"{place} {name.replace('_', ' ')}: {one.line()}")
    command = shlex.join(["nb-refine", *words])
    for path in result.write(folder, {"command": command, "words": words}):
        print(f"writing {path}")
    kept.unlink(missing_ok=True)
    state = "converged" if result.refined.converged else "not converged; raise --steps or look at the report"
    print(f"{state}: reduced chi-square {result.refined.chi_square:.3f}, {time.monotonic() - began:.1f} s", flush=True)
    return OK


def _lasting(words: Sequence[str]) -> list[str]:
    """The words that decide what is refined."""
    return [word for word in words if word != "--resume"]


def _resumed(kept: Path, words: list[str]) -> list[dict[str, Any]] | None:
    """Values that an interrupted run has left.

    Raises:
        InputError: they are those of another command.
        FileFormatError: the file is damaged.
    """
    if not kept.exists():
        return None
    try:
        content = json.loads(kept.read_text())
        values: list[dict[str, Any]] = content["values"]
        same = content["words"] == _lasting(words)
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(kept, "", "not what an interrupted run leaves; delete it") from error
    if not same:
        raise InputError("--resume", f"{kept} is of another command", "give the same words, or another folder")
    return values
