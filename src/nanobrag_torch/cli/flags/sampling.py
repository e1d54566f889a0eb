"""Flags of rotation and sampling (specs: cli 6)."""

from __future__ import annotations

from nanobrag_torch.cli.flags.flag import Flag
from nanobrag_torch.cli.flags.words import integer, integers, real


def _angle(spelling: str, field: str, example: float, text: str, default: str = "") -> Flag:
    return Flag(
        (spelling,),
        text,
        f"{spelling.rstrip('*')} {example:g}",
        {field: example},
        takes=real(field),
        unit="degrees",
        default=default,
    )


def _per_term(factor: str, text: str) -> Flag:
    value = {f"sampling.oversample_{factor}": True}
    return Flag((f"-oversample_{factor}",), text, f"-oversample_{factor}", value, sets=value, default="off")


SAMPLING = (
    _angle("-phi", "sampling.phi_deg", 10.0, "spindle angle at the start", "0"),
    _angle("-osc*", "sampling.osc_deg", 0.5, "range of the spindle sweep", "none"),
    _angle("-phistep", "sampling.phi_step_deg", 0.1, "step of the spindle sweep"),
    Flag(
        ("-phisteps",),
        "number of spindle positions",
        "-phisteps 10",
        {"sampling.phi_steps": 10},
        takes=integer("sampling.phi_steps"),
    ),
    Flag(
        ("-oversample",),
        "sub-pixels per side; 0 or less: chosen automatically",
        "-oversample 2",
        {"sampling.oversample": 2},
        takes=integer("sampling.oversample"),
        default="automatic",
    ),
    _per_term("thick", "absorption of each sub-pixel and layer instead of one per pixel"),
    _per_term("polar", "polarization of each sub-pixel, layer and source instead of one per pixel"),
    _per_term("omega", "solid angle of each sub-pixel and layer instead of one per pixel"),
    Flag(
        ("-dmin",),
        "leave out everything at a smaller spacing than this",
        "-dmin 2",
        {"sampling.dmin_A": 2.0},
        takes=real("sampling.dmin_A"),
        unit="Å",
        default="0",
    ),
    Flag(
        ("-roi",),
        "render this region only, fast then slow, both ends included",
        "-roi 100 199 200 299",
        {"sampling.roi": (100, 199, 200, 299)},
        takes=integers("sampling.roi", "xmin", "xmax", "ymin", "ymax"),
        unit="pixels",
        default="all",
    ),
)
