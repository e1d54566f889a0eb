"""Two traces of one pixel side by side: the first quantity where they part, and where its formula stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nanobrag_torch.parity.traces import BY_MAGNITUDE
from nanobrag_torch.pipeline.trace import OWN, Tap

Values = tuple[float, ...]

TOLERANCE, SINGLE_TOLERANCE = 1e-9, 1e-6
"""Of traces in double and in single precision."""
SLACK = 1000.0
"""How much more is allowed to lattice factors and what is made of them: near a zero they amplify rounding."""
AMPLIFIED = BY_MAGNITUDE | {
    "F_latt_squared",
    "I_contribution",
    "I_before_scaling",
    "I_pixel_final",
    "floatimage_accumulated",
    "I_orientations",
    "running_total",
    "scaled_total",
}
_PLACE = re.compile(r"(setup|pixel|(?:term|step)\[[\d,]+\])\.(\S+)")


def parse_trace(output: str) -> dict[tuple[str, str], Values]:
    """{(place, name): values} of the TRACE lines of an output, in their order."""
    found: dict[tuple[str, str], Values] = {}
    for line in output.splitlines():
        match = re.match(r"TRACE_\w+: (\S+) (.*)", line)
        where = _PLACE.fullmatch(match[1]) if match else None
        if match and where:
            found[where[1], where[2]] = tuple(float(word) for word in match[2].split())
    return found


@dataclass(frozen=True)
class Difference:
    """One quantity that differs.

    Args:
        place: where in the loops (`term[0,0,0,0]`, ...).
        name: the quantity.
        error: largest difference over the largest component; infinite when one side lacks it.
        c: values of the C side, or nothing.
        py: values of ours, or nothing.
        spec: page and section of specs/ with the formula.
    """

    place: str
    name: str
    error: float
    c: Values
    py: Values
    spec: str

    def text(self, sides: tuple[str, str] = ("C", "ours")) -> str:
        """A few lines for a person; `sides` are the names of the two."""
        page, _, section = self.spec.partition(" ")
        where = f"specs/{page.rstrip(',')}.md {section}".strip()
        return "\n".join(
            [
                f"{self.place}.{self.name}: relative difference {self.error:.3g}",
                f"  {sides[0]:6} {_shown(self.c)}",
                f"  {sides[1]:6} {_shown(self.py)}",
                f"  see    {where}",
            ]
        )


def _shown(values: Values) -> str:
    return " ".join(f"{v:.17g}" for v in values) or "(missing)"


def relative_error(name: str, ours: Values | None, theirs: Values | None) -> float:
    """Largest abs(difference) over the largest abs(component) of theirs; by magnitude where signs carry no meaning."""
    if ours is None or theirs is None or len(ours) != len(theirs):
        return math.inf
    if name in BY_MAGNITUDE:
        ours, theirs = tuple(map(abs, ours)), tuple(map(abs, theirs))
    pairs = list(zip(ours, theirs, strict=True))
    if any(math.isnan(a) != math.isnan(b) for a, b in pairs):
        return math.inf
    worst = max((abs(a - b) for a, b in pairs if a != b and not math.isnan(a)), default=0.0)
    scale = max((abs(b) for b in theirs if not math.isnan(b)), default=0.0)
    return worst / scale if scale else worst


def differences(
    taps: Sequence[Tap], theirs: Mapping[tuple[str, str], Values], tolerance: float = TOLERANCE
) -> list[Difference]:
    """Every quantity that differs by more than the tolerance, in the order of computation.

    A quantity of one side that the other does not print counts as different.
    """
    found = []
    printed = set()
    for tap in taps:
        if tap.name in OWN and (tap.place, tap.name) not in theirs:
            continue
        printed.add((tap.place, tap.name))
        c = theirs.get((tap.place, tap.name))
        error = relative_error(tap.name, tap.values, c)
        if error > tolerance * (SLACK if tap.name in AMPLIFIED else 1.0):
            found.append(Difference(tap.place, tap.name, error, c or (), tap.values, tap.spec))
    for (place, name), values in theirs.items():
        if (place, name) not in printed:
            found.append(Difference(place, name, math.inf, values, (), "README, Index"))
    return found


GROUPS: dict[str, tuple[str, ...]] = {
    "f_cell": (
        "F_cell",
        "F_cell_squared",
        "F_cell_lookups",
        "F_cell_outside_table",
        "F_cell_zero",
        "F_cell_mean",
        "F_cell_bounds",
    ),
    "background": ("I_background",),
    "f_latt": ("F_latt", "F_latt_a", "F_latt_b", "F_latt_c", "F_latt_squared"),
    "omega": (
        "omega_pixel_sr",
        "omega_pixel",
        "R_distance_meters",
        "obliquity_factor",
        "close_distance_meters",
    ),
    "polar": ("polar", "cos2theta", "cos_2theta"),
    "absorption": ("capture_fraction",),
    "intensity": (
        "I_contribution",
        "I_before_scaling",
        "steps",
        "omega_pixel",
        "capture_fraction",
        "polar",
        "I_normalised",
        "I_pixel_final",
        "floatimage_accumulated",
    ),
    "hkl_subpixel": ("hkl_frac", "hkl_rounded", "F_cell", "in_table"),
    "accum": (
        "I_orientations",
        "term_factor",
        "I_running",
        "omega_pixel_sr",
        "capture_fraction",
        "polar",
        "I_background",
        "I_before_scaling",
        "steps",
        "fluence_photons_per_m2",
        "r_e_sqr",
    ),
    "cell": ("a_angstroms", "b_angstroms", "c_angstroms"),
    "position": ("pixel_pos_meters", "diffracted_vec", "pix0_vector_meters", "fdet_vec", "sdet_vec"),
    "source": ("source_index", "incident_vec", "lambda_meters", "lambda_angstroms"),
    "scattering": ("scattering_vec_per_m", "cut_by_dmin"),
    "phi": ("phi_tic", "phi_deg", "k_frac"),
}
"""Short names of quantities that belong together; `setup` and `pixel` mean everything at that place."""


def chosen(taps: Iterable[Tap], names: Sequence[str]) -> list[Tap]:
    """The taps of some groups, places or single names; all when no name is given.

    Raises:
        ValueError: a name that is none of these.
    """
    taps = list(taps)
    if not names:
        return taps
    known = {tap.name for tap in taps} | GROUPS.keys() | {"setup", "term", "step", "pixel"}
    stray = [name for name in names if name not in known]
    if stray:
        raise ValueError(f"no quantity is called {', '.join(stray)}; choose from {', '.join(sorted(GROUPS))}")
    wanted = {member for name in names for member in GROUPS.get(name, (name,))}
    return [tap for tap in taps if tap.name in wanted or tap.place.partition("[")[0] in wanted]
