from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import nanobrag_torch
from nanobrag_torch import units

SOURCE = Path(nanobrag_torch.__file__).parent

CONSTANTS = {
    "CLASSICAL_ELECTRON_RADIUS_SQUARED": 7.94079248018965e-30,
    "AVOGADRO": 6.02214179e23,
    "DEFAULT_FLUENCE": 125932015286227086360700780544.0,
    "ENERGY_WAVELENGTH_EV_A": 12398.42,
    "BACKGROUND_AMPLITUDE": 2.57,
    "BACKGROUND_MOLAR_MASS": 18.0,
    "BACKGROUND_DENSITY": 1e6,
    "APPARENT_DENSITY": 1.2e6,
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name):
    """specs: README, Constants."""
    assert getattr(units, name) == CONSTANTS[name]


def test_the_default_fluence_makes_the_scale_exactly_one():
    assert units.CLASSICAL_ELECTRON_RADIUS_SQUARED * units.DEFAULT_FLUENCE == 1.0


def test_degrees_are_divided():
    """specs: README, Units."""
    assert units.DEGREES_PER_RADIAN == 57.29577951308232
    assert units.radians_from_degrees(90.0) == 90.0 / 57.29577951308232
    assert units.degrees_from_radians(units.radians_from_degrees(33.0)) == pytest.approx(33.0, rel=1e-15)


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (units.metres_from_mm, 102.4, 102.4 / 1000.0),
        (units.metres_from_um, 300.0, 300.0 * 1e-6),
        (units.metres_from_water_um, 10.0, 10.0 / 1e6),
        (units.mm_from_metres, 0.1, 0.1 * 1000.0),
        (units.um_from_metres, 1e-4, 1e-4 * 1e6),
        (units.metres_from_angstrom, 1.2, 1.2 * 1e-10),
        (units.angstrom_from_metres, 1.2e-10, 1.2e-10 * 1e10),
        (units.radians_from_mrad, 20.0, 20.0 / 1000.0),
        (units.fraction_from_percent, 3.0, 3.0 / 100.0),
        (units.wavelength_from_energy, 12398.42, 1.0),
    ],
)
def test_conversions_are_those_of_the_table_to_the_last_bit(convert, value, expected):
    """specs: README, Units; tensors keep their graph."""
    assert convert(value) == expected
    tensor = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    assert convert(tensor).item() == expected
    assert convert(tensor).requires_grad


COMPUTING = ("geometry", "models", "physics", "kernels", "settling", "pipeline")
ALLOWED = {"settling/checks.py", "settling/cost.py"}
"""Gigabytes in a message."""


def stray_powers(path: Path) -> Iterator[tuple[int, str]]:
    """Literals 10^n with n <= -3 or n >= 2 that take part in a product or a quotient."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult | ast.Div | ast.Pow):
            continue
        for side in (node.left, node.right):
            if isinstance(side, ast.Constant) and isinstance(side.value, int | float) and side.value > 0:
                power = math.log10(side.value)
                if abs(power - round(power)) < 1e-12 and (power >= 2 or power <= -3):
                    yield side.lineno, ast.unparse(node)


def test_only_this_module_converts_units():
    """No product with a power of ten elsewhere in what computes."""
    found = []
    for part in COMPUTING:
        root = SOURCE / part
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            name = path.relative_to(SOURCE).as_posix()
            if name not in ALLOWED:
                found += [f"{name}:{line}: {text}" for line, text in stray_powers(path)]
    assert not found, "\n".join(found)


def test_the_search_finds_what_it_looks_for(tmp_path):
    (tmp_path / "a.py").write_text("x = y * 1e-10\nz = 1000.0 * y / 2\nw = y / 100\nv = y * 0.5 + 1e-9\n")
    assert sorted(line for line, _ in stray_powers(tmp_path / "a.py")) == [1, 2, 3]
