"""One row per detector convention (specs: geometry 3, 4, 5)."""

from __future__ import annotations

from dataclasses import dataclass

Axis = tuple[float, float, float]


@dataclass(frozen=True)
class Convention:
    """Vectors of a convention in the lab frame, and its pivot (`None`: the flags decide)."""

    beam: Axis
    fast: Axis
    slow: Axis
    normal: Axis
    twotheta_axis: Axis
    polarization_axis: Axis
    spindle_axis: Axis
    pivot: str | None


X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
MINUS_X, MINUS_Y, MINUS_Z = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)

CONVENTIONS = {
    "ADXV": Convention(Z, X, MINUS_Y, Z, MINUS_X, X, X, "BEAM"),
    "MOSFLM": Convention(X, Z, MINUS_Y, X, MINUS_Z, Z, Z, "BEAM"),
    "DENZO": Convention(X, Z, MINUS_Y, X, MINUS_Z, Z, Z, "BEAM"),
    "XDS": Convention(Z, X, Y, Z, X, X, X, "SAMPLE"),
    "DIALS": Convention(Z, X, Y, Z, Y, Y, Y, "SAMPLE"),
    "CUSTOM": Convention(X, Z, MINUS_Y, X, Y, Z, Z, None),
}
