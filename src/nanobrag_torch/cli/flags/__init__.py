"""The flag table: one row per flag, in groups; parsing, help, documentation and tests are made from it.

To add a flag, add its row to a group, and a field to `config/` when the quantity is new.
"""

from __future__ import annotations

from nanobrag_torch.cli.flags.beam import BEAM
from nanobrag_torch.cli.flags.crystal import CRYSTAL
from nanobrag_torch.cli.flags.detector import DETECTOR
from nanobrag_torch.cli.flags.disorder import DISORDER
from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.input import INPUT
from nanobrag_torch.cli.flags.matter import MATTER
from nanobrag_torch.cli.flags.output import OUTPUT, RUNNING
from nanobrag_torch.cli.flags.response import RESPONSE
from nanobrag_torch.cli.flags.sampling import SAMPLING

GROUPS: dict[str, tuple[Flag, ...]] = {
    "Input files": INPUT,
    "Crystal": CRYSTAL,
    "Disorder of the crystal": DISORDER,
    "Beam": BEAM,
    "Background and absorption": MATTER,
    "Detector": DETECTOR,
    "Response of the detector": RESPONSE,
    "Rotation and sampling": SAMPLING,
    "Output": OUTPUT,
    "Running": RUNNING,
}

FLAGS: tuple[Flag, ...] = tuple(flag for rows in GROUPS.values() for flag in rows)

NEVER_EXISTED = ("-dispstep", "-hdiv", "-vdiv")
"""Flags of published examples that nanoBragg.c never had: ignored with a warning, with one number behind them."""

__all__ = ["FLAGS", "GROUPS", "NEVER_EXISTED", "Flag"]
