"""`nb-coherent simulate|reconstruct|compare`: ptychography from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanobrag_torch import __version__
from nanobrag_torch.errors import InputError
from nanobrag_torch.guard import guarded
from nanobrag_torch.program import OK, run_parsed

_TELL = """\
Scans are CXI files (also NXcxi_ptycho), results are products of ptychodus; beside each result stands a picture.

  nb-coherent simulate -o scan.cxi --truth truth.h5 --photons 1e6
  nb-coherent reconstruct scan.cxi -o found.h5
  nb-coherent compare found.h5 truth.h5 -o compared.json
"""


def parser() -> argparse.ArgumentParser:
    """The words of the command."""
    plain: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    made = argparse.ArgumentParser(prog="nb-coherent", description="Ptychography in photons.", epilog=_TELL, **plain)
    made.add_argument("--version", action="version", version=f"nanobrag_torch {__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    simulate = commands.add_parser("simulate", help="frames of a textured film under a defocused probe", **plain)
    simulate.add_argument("-o", "--output", required=True, metavar="FILE", help="scan to write, CXI")
    simulate.add_argument("--truth", metavar="FILE", help="write object, probe and true positions too, a product")
    for name, default, text in (
        ("--photons", 1e6, "photons a frame"),
        ("--step", 5.0, "step of the scan, pixels of the object"),
        ("--position-error", 2.0, "largest error of the recorded positions, pixels"),
        ("--dead", 0.05, "share of dead pixels; 0: no beam stop either"),
        ("--wavelength", 1.5, "Å"),
        ("--distance", 2000.0, "from object to detector, mm"),
        ("--pixel", 0.075, "of the detector, mm"),
    ):
        simulate.add_argument(name, type=float, default=default, metavar="X", help=f"{text} [{default:g}]")
    for name, count, text in (("--size", 64, "pixels across a frame"), ("--side", 15, "frames along each side")):
        simulate.add_argument(name, type=int, default=count, metavar="N", help=f"{text} [{count}]")
    simulate.add_argument("--seed", type=int, default=1, metavar="N", help="of the random numbers [1]")
    found = commands.add_parser("reconstruct", help="object, probe and positions behind a scan", **plain)
    found.add_argument("scan", metavar="SCAN", help="CXI or NXcxi_ptycho file")
    found.add_argument("-o", "--output", required=True, metavar="FILE", help="product to write")
    for name, count, text in (
        ("--epochs", 60, "passes of rPIE"),
        ("--likelihood-steps", 25, "steps of maximum likelihood, twice; 0: none"),
        ("--modes", 1, "incoherent modes of the probe"),
        ("--batch", 16, "frames at once"),
        ("--seed", 1, "order of the frames"),
    ):
        found.add_argument(name, type=int, default=count, metavar="N", help=f"{text} [{count}]")
    found.add_argument("--readout", type=float, default=0.0, metavar="X", help="rms of read-out noise, photons [0]")
    found.add_argument("--smoothness", type=float, default=0.0, metavar="X", help="weight of the object's slopes [0]")
    found.add_argument("--keep-positions", action="store_true", help="do not correct positions")
    compare = commands.add_parser("compare", help="error of a result once ambiguities are removed", **plain)
    compare.add_argument("found", metavar="FOUND", help="product")
    compare.add_argument("truth", metavar="TRUTH", help="product")
    compare.add_argument("-o", "--output", required=True, metavar="FILE", help="numbers to write, JSON")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0, 9 when the input is refused, 130 after an interruption by the keyboard."""
    return guarded("nb-coherent", _run, argv)


def _run(words: list[str]) -> int:
    return run_parsed("nb-coherent", parser(), words, _work)


def _work(said: argparse.Namespace) -> int:
    _check(said)
    from nanobrag_torch.coherent import commands

    lines = {
        "simulate": commands.simulate,
        "reconstruct": commands.reconstruct_scan,
        "compare": commands.compare_products,
    }[said.command](said)
    for line in lines:
        print(line, flush=True)
    return OK


def _check(said: argparse.Namespace) -> None:
    if Path(said.output).suffix == ".png":
        raise InputError("-o", f"{said.output} is the name of a picture", "its picture gets that ending automatically")
    above = {"photons", "step", "wavelength", "distance", "pixel", "size", "side", "epochs", "modes", "batch"}
    for name, value in vars(said).items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        least = 8 if name == "size" else 2 if name == "side" else 0
        if not least <= value < float("inf") or (name in above and value == 0):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                flag,
                f"{value} cannot serve",
                f"give a number of {least} or more" if least else "give a positive number",
            )
    if not getattr(said, "dead", 0.0) < 1.0:
        raise InputError("--dead", f"{said.dead} leaves no pixel", "give a share below 1")
