"""Changes to a command line that keep known defects of an original nanoBragg out of a comparison.

Each is what specs/deviations.md (sections A, B and E) says; each is reported. This project's own C reference has none
of these defects and gets its line unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from nanobrag_torch.config import Config
from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.words import Use, line, uses
from nanobrag_torch.settling.steps import layer_steps, phi_steps

NUDGE_DEG = 1e-9
UNKNOWN_TO_ORIGINAL = frozenset({"-source_weights", "-pix0_override_mm"})
_PER_TERM = ("-oversample_thick", "-oversample_polar", "-oversample_omega")


@dataclass
class OriginalLine:
    """A line made fit for an original nanoBragg.

    Args:
        words: what it is given.
        changes: what was done to the line and why, one sentence each.
        doubts: what may still differ and why, one sentence each.
        moved_phi: words that turn the crystal on our side as the original's was turned (D01); empty if it was not.
    """

    words: list[str]
    changes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    moved_phi: tuple[str, ...] = ()


def for_original(args: Sequence[str], config: Config) -> OriginalLine:
    """The line for a C program that is not this project's own reference.

    Args:
        args: the line, without flags that only ours has.
        config: what the line says.

    Raises:
        ParityError: a flag that no nanoBragg has and that changes the image.
    """
    parts = uses(args)
    unknown = [use.word for use in parts if use.name in UNKNOWN_TO_ORIGINAL]
    exact = config.output.physics == "exact"
    if unknown or exact:
        raise ParityError(f"{unknown[0] if unknown else '-physics exact'}: nanoBragg has no such flag")
    out = OriginalLine([])
    parts = [use for use in parts if use.name not in ("-physics", "-quiet")]
    parts = _misset_seed_first(parts, out)
    parts = _no_polar_wins(parts, config, out)
    parts = _absorption_off_last(parts, config, out)
    parts = _twotheta_after_its_axis(parts, config, out)
    out.words = line(parts) + _phi_words(config, out)
    _note_doubts(parts, config, out)
    if out.words and uses(out.words)[-1].name == "-curved_det":
        out.changes.append("D06: -noprogress put behind -curved_det, which is not seen as the last word")
        out.words.append("-noprogress")
    return out


def _misset_seed_first(parts: list[Use], out: OriginalLine) -> list[Use]:
    seeds = [use for use in parts if use.name == "-misset_seed"]
    if not seeds:
        return parts
    rest = [use for use in parts if use.name != "-misset_seed"]
    if any(use.name == "-misset" for use in rest):
        out.changes.append("D04: -misset_seed moved to the front, where it is not read as explicit angles")
        return seeds[-1:] + rest
    out.changes.append("D04: -misset_seed left out: without -misset it would turn the crystal")
    return rest


def _no_polar_wins(parts: list[Use], config: Config, out: OriginalLine) -> list[Use]:
    names = {use.name for use in parts}
    if config.beam.polarization is False and "-oversample_polar" in names:
        out.changes.append("D07: -oversample_polar left out: it would undo -nopolar")
        parts = [use for use in parts if use.name != "-oversample_polar"]
    if "-oversample_thick" in names and not _has_sensor(config):
        out.changes.append("D08: -oversample_thick left out: without a sensor it makes an image of zeros")
        parts = [use for use in parts if use.name != "-oversample_thick"]
    return parts


def _absorption_off_last(parts: list[Use], config: Config, out: OriginalLine) -> list[Use]:
    depth = config.detector.attenuation_depth_um
    off = depth is not None and (float(depth) == 0.0 or math.isinf(float(depth)))
    if not off or not any(use.name == "-detector_thick" for use in parts):
        return parts
    out.changes.append("D09: -detector_abs moved behind -detector_thick, which would undo it")
    mine = [use for use in parts if use.name == "-detector_abs"]
    return [use for use in parts if use.name != "-detector_abs"] + mine[-1:]


def _twotheta_after_its_axis(parts: list[Use], config: Config, out: OriginalLine) -> list[Use]:
    if not any(use.name == "-twotheta_axis" for use in parts):
        return parts
    out.changes.append("D10: -twotheta and -pivot repeated at the end: -twotheta_axis sets both")
    angle = config.detector.twotheta_deg
    pivot = (config.detector.pivot or "BEAM").lower()
    return [*parts, Use("-twotheta", None, (_word(angle or 0.0),)), Use("-pivot", None, (pivot,))]


def _phi_words(config: Config, out: OriginalLine) -> list[str]:
    """Words that move a phi step off 0, and give one step where the original would make none."""
    said = config.sampling
    start = float(said.phi_deg or 0.0)
    osc = None if said.osc_deg is None else float(said.osc_deg)
    step = None if said.phi_step_deg is None else float(said.phi_step_deg)
    words = []
    if said.phi_steps is None and osc == 0.0 and step is not None and step > 0:
        out.changes.append("D20: -phisteps 1 added: a range of 0 with a step makes no step at all")
        words += ["-phisteps", "1"]
    steps = phi_steps(said.phi_steps, osc, step, 1.0)
    if steps.count > 1 and any(start + steps.step * i == 0.0 for i in range(steps.count)):
        out.changes.append(f"D01: -phi moved by {NUDGE_DEG:g} degrees: a step of exactly 0 keeps the one before it")
        out.moved_phi = ("-phi", _word(start + NUDGE_DEG))
        words += out.moved_phi
    return words


def _note_doubts(parts: list[Use], config: Config, out: OriginalLine) -> None:
    names = {use.name for use in parts}
    switches = [name for name in _PER_TERM if name in names]
    if switches:
        out.doubts.append(
            f"D02: {', '.join(switches)}: the original multiplies its running sum, unless a pixel is one term"
        )
    if config.crystal.interpolate is not False and config.crystal.hkl_file is not None:
        out.doubts.append("D03: if a sample leaves the table, the original stops interpolating for good")
    if config.output.adc is not None and float(config.output.adc) < 0:
        out.doubts.append("D21: with a negative -adc the original's noise counts wrap below 0")
    if config.crystal.shape in (None, "square", "round"):
        out.doubts.append("D47, D65: samples at, or for -round_xtal near, whole Miller indices are rounding noise")


def _has_sensor(config: Config) -> bool:
    said = config.detector
    thickness = None if said.thickness_um is None else float(said.thickness_um)
    depth = said.attenuation_depth_um
    off = depth is not None and (float(depth) == 0.0 or math.isinf(float(depth)))
    return not off and layer_steps(said.thick_steps, thickness, False).range > 0


def _word(value: object) -> str:
    return f"{float(value):.17g}"  # type: ignore[arg-type]
