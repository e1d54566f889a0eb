"""Gradients of pixels by everything continuous, from a configuration's tensors to the image, against differences.

Every parameter is checked in both modes of physics and by every way to compute, also exactly where a formula is
singular: at a whole index, in the pixel of the direct beam, with one cell along an axis, at angle zero.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Experiment,
    PanelConfig,
    SamplingConfig,
    Simulator,
    StructureFactors,
    settle,
)
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.kernels.backends import BACKENDS

CPU = torch.device("cpu")
SERVING = [name for name, backend in BACKENDS.items() if backend.why_not(CPU, torch.float64, "square", False) is None]
WAYS = [None, "reference"] if len(SERVING) > 1 else ["reference"]
"""The best way on this machine, and the definition."""

EVERY_WAY = pytest.mark.parametrize("backend", WAYS, ids=str)
BOTH_MODES = pytest.mark.parametrize("physics", ["nanobragg", "exact"])

PARTS = {"crystal": CrystalConfig, "beam": BeamConfig, "detector": DetectorConfig, "sampling": SamplingConfig}
SCENE = {
    "cell_a": 40.0, "cell_b": 45.0, "cell_c": 50.0, "cell_alpha": 80.0, "cell_beta": 85.0, "cell_gamma": 95.0,
    "misset_deg": (10.0, 20.0, 30.0), "Na": 3.0, "Nb": 4.0, "Nc": 2.0, "default_F": 100.0, "wavelength_A": 1.2,
    "polarization_factor": 0.7, "distance_mm": 60.0, "pixels_f": 20, "pixels_s": 16, "pixel_mm": 0.8,
    "oversample": 1, "phi_deg": 1.0, "osc_deg": 2.0, "phi_steps": 2,
}  # fmt: skip
PIXELS = torch.tensor([[3, 4], [12, 15]])
"""(slow, fast); none of them near the direct beam."""
SPREAD = torch.tensor([[0, 0], [3, 4], [5, 10], [7, 9], [7, 12], [9, 8], [10, 13]])


def settled(physics: str, said: dict[str, Any]) -> Experiment:
    parts = {}
    for name, kind in PARTS.items():
        own = {field.name for field in fields(kind)}
        parts[name] = kind(**{key: value for key, value in said.items() if key in own})
    assert set(said) <= {field.name for kind in PARTS.values() for field in fields(kind)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(Config(**parts), physics)


@dataclass(frozen=True)
class Parameter:
    """Where numbers `at` enter: `said` makes configuration fields of a tensor [n], `put` changes what was settled.

    `scene` holds the fields in which the scene differs from `SCENE`; a field of `None` is left out.
    """

    at: Sequence[float]
    said: Callable[[Tensor], dict[str, Any]] = lambda x: {}
    put: Callable[[Experiment, Tensor], Experiment] = lambda experiment, x: experiment
    scene: dict[str, Any] | None = None
    pixels: Tensor = PIXELS

    def values(self, x: Tensor, physics: str, backend: str | None) -> Tensor:
        said = {**SCENE, **(self.scene or {}), **self.said(x)}
        said = {name: value for name, value in said.items() if value is not None}
        experiment = self.put(settled(physics, said), x)
        return Simulator(experiment, backend=backend).run(self.pixels).values[0]


def check(parameter: Parameter, physics: str, backend: str | None, *, matters: bool = True) -> None:
    """Compare gradients with central differences; pixels are brought to about 1."""
    x = torch.tensor(parameter.at, dtype=torch.float64, requires_grad=True)
    values = parameter.values(x, physics, backend)
    scale = values.detach().abs().max()
    if matters:
        (gradient,) = torch.autograd.grad((values / scale).sum(), x)
        assert torch.isfinite(gradient).all()
        assert (gradient.abs() > 1e-9).all(), f"without effect: {gradient.tolist()}"
    assert torch.autograd.gradcheck(
        lambda x: parameter.values(x, physics, backend) / scale,
        x,
        eps=1e-6,
        atol=1e-6,
        rtol=1e-5,
        nondet_tol=0.0,
        check_undefined_grad=False,
    )


def three(name: str) -> Callable[[Tensor], dict[str, Any]]:
    return lambda x: {name: tuple(x)}


def each(*names: str) -> Callable[[Tensor], dict[str, Any]]:
    return lambda x: dict(zip(names, x.unbind(), strict=True))


def grid(values: Tensor, default_F: Tensor) -> dict[str, Any]:
    table = StructureFactors(values, (-3, -3, -3), default_F, values.numel())
    return {"structure_factors": table, "default_F": None}


def amplitudes(lookup: str) -> dict[str, Any]:
    return {"cell_a": 9.0, "cell_b": 10.0, "cell_c": 11.0, "pixel_mm": 4.0, "interpolate": lookup == "tricubic"}


def table_with(x: Tensor) -> dict[str, Any]:
    """Three of the amplitudes near the pixels, and the default, are the parameters."""
    values = 10.0 + torch.arange(343, dtype=torch.float64).reshape(7, 7, 7).remainder(11.0)
    pattern = torch.ones_like(values)
    pattern[::2] = 0.0
    return grid(values * (x[0] * pattern + x[1] * (1 - pattern)), x[2])


CELL = ("cell_a", "cell_b", "cell_c", "cell_alpha", "cell_beta", "cell_gamma")
CELL_AT = (40.0, 45.0, 50.0, 80.0, 85.0, 95.0)
MOSAIC = {"mosaic_spread_deg": 1.0, "mosaic_domains": 3}
TWO_SOURCES = {"hdiv_range_mrad": 20.0}
SENSOR = {"thickness_um": 300.0, "attenuation_depth_um": 200.0}
CUSTOM = {"convention": "CUSTOM"}
SWUNG = {"twotheta_deg": 5.0, "rotx_deg": 3.0}
MATRIX = torch.tensor([[0.025, 0.001, 0.002], [0.0005, 0.022, -0.001], [0.001, -0.002, 0.02]], dtype=torch.float64)
ONLY_MATRIX = {**dict.fromkeys(CELL), "orientation_matrix": MATRIX}


def spread(experiment: Experiment, x: Tensor) -> Experiment:
    return experiment.replace(mosaic=replace(experiment.crystal.mosaic, spread=x[0]))


def panel(x: Tensor) -> dict[str, Any]:
    own = PanelConfig((x[0], x[1], x[2]), (x[3], x[4], 1.0), (0.02, -1.0, x[5]), 20, 16, 0.8)
    return {"panels": (own,)}


PARAMETERS = {
    "cell": Parameter(CELL_AT, each(*CELL)),
    "cell of gauss": Parameter(CELL_AT, each(*CELL), scene={"shape": "gauss", "Na": 1.5, "Nb": 2.0, "Nc": 1.2}),
    "cell of round": Parameter(CELL_AT, each(*CELL), scene={"shape": "round"}),
    "matrix": Parameter(
        MATRIX.flatten().tolist(), lambda x: {"orientation_matrix": x.reshape(3, 3)}, scene=dict.fromkeys(CELL)
    ),
    "misset": Parameter((10.0, 20.0, 30.0), three("misset_deg")),
    "spindle axis": Parameter((0.1, 0.2, 0.9), three("spindle_axis"), scene={**CUSTOM, "phi_deg": 20.0}),
    "phi": Parameter((1.0, 2.0), each("phi_deg", "osc_deg")),
    "phi step": Parameter((0.7,), each("phi_step_deg"), scene={"osc_deg": None, "phi_steps": None}),
    "mosaic spread": Parameter((0.02,), put=spread, scene=MOSAIC),
    "mosaic spread of zero": Parameter((0.0,), put=spread, scene=MOSAIC),
    "N": Parameter((3.0, 4.0, 2.0), each("Na", "Nb", "Nc")),
    "N, not whole": Parameter((3.3, 4.6, 2.1), each("Na", "Nb", "Nc")),
    "N of round": Parameter((3.0, 4.0, 2.0), each("Na", "Nb", "Nc"), scene={"shape": "round"}),
    "N of gauss": Parameter((1.5, 2.0, 1.2), each("Na", "Nb", "Nc"), scene={"shape": "gauss"}),
    "N of one": Parameter((1.0, 1.0, 1.0), put=lambda e, x: e.replace(N=x), scene={"Na": 1.0, "Nb": 1.0, "Nc": 1.0}),
    "cell of one": Parameter(CELL_AT, each(*CELL), scene={"Na": 1.0, "Nb": 4.0, "Nc": 1.0, "shape": "square"}),
    "fudge of round": Parameter((0.8,), each("fudge"), scene={"shape": "round"}),
    "fudge of gauss": Parameter((0.8,), each("fudge"), scene={"shape": "gauss", "Na": 1.5, "Nb": 2.0, "Nc": 1.2}),
    "wavelength": Parameter((1.2,), each("wavelength_A")),
    "wavelength with a matrix": Parameter((1.2,), each("wavelength_A"), scene=ONLY_MATRIX),
    "dispersion": Parameter((3.0,), each("dispersion_percent"), scene={"dispersion_steps": 3}),
    "fluence": Parameter((1.3,), lambda x: {"fluence": x[0] * 1e29}),
    "flux": Parameter((1.3, 0.4, 0.2), lambda x: {"flux": x[0] * 1e12, "exposure_s": x[1], "beamsize_mm": x[2]}),
    "weights": Parameter((0.8, 1.2), put=lambda e, x: e.replace(weights=x), scene=TWO_SOURCES),
    "beam direction": Parameter((1.0, 0.05, -0.02), three("beam_vector"), scene=CUSTOM),
    "polarization axis": Parameter(
        (0.1, 0.2, 0.9), three("polar_vector"), scene={**CUSTOM, "beam_vector": (1.0, 0.05, -0.02)}
    ),
    "distance": Parameter((60.0,), each("distance_mm"), scene=SWUNG),
    "close distance": Parameter((60.0,), each("close_distance_mm"), scene={"distance_mm": None, **SWUNG}),
    "beam centre": Parameter((6.0, 8.0), each("Xbeam_mm", "Ybeam_mm")),
    "near point": Parameter((9.0, 8.0), each("ORGX", "ORGY"), scene={"convention": "XDS", **SWUNG}),
    "near point in mm": Parameter((6.0, 8.0), each("Xclose_mm", "Yclose_mm"), scene={**CUSTOM, "pivot": "SAMPLE"}),
    "rotations": Parameter((3.0, 4.0, 5.0), each("rotx_deg", "roty_deg", "rotz_deg")),
    "rotations of zero": Parameter((0.0, 0.0, 0.0, 0.0), each("rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg")),
    "rotations about the sample": Parameter(
        (3.0, 4.0, 5.0, 6.0),
        each("rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg"),
        scene={**CUSTOM, "pivot": "SAMPLE"},
    ),
    "two-theta": Parameter((12.0,), each("twotheta_deg")),
    "detector axes": Parameter(
        (0.1, 0.05, 1.0, 0.02, -1.0, 0.05),
        lambda x: {"fdet_vector": tuple(x[:3]), "sdet_vector": tuple(x[3:]), "odet_vector": (0.9, 0.0, 0.0)},
        scene={**CUSTOM, **SWUNG},
    ),
    "origin": Parameter((60.0, 5.0, -7.0), three("pix0_override_mm"), scene=SWUNG),
    "panel": Parameter((60.0, 5.0, -7.0, 0.03, 0.02, 0.05), panel),
    "pixel size": Parameter((0.8,), each("pixel_mm"), scene={"oversample": 2}),
    "curved detector": Parameter((60.0, 6.0, 8.0), each("distance_mm", "Xbeam_mm", "Ybeam_mm"), scene={"curved": True}),
    "sensor": Parameter((300.0, 200.0), each("thickness_um", "attenuation_depth_um"), scene=SWUNG),
    "sensor per term": Parameter(
        (300.0, 200.0),
        each("thickness_um", "attenuation_depth_um"),
        scene={"oversample_thick": True, "oversample": 2},
    ),
    "sensor without a depth": Parameter((300.0,), each("thickness_um")),
    "polarization factor": Parameter((0.7,), each("polarization_factor"), scene={"oversample_polar": True}),
    "water": Parameter((0.5,), each("water_um"), scene={**SENSOR, "default_F": 1.0, "fluence": 1e29}),
    "water of zero": Parameter((0.0,), put=lambda e, x: e.replace(water=x[0] * 1e-9)),
    "default_F": Parameter((100.0,), each("default_F")),
    "amplitudes, nearest": Parameter((1.0, 1.1, 12.0), table_with, scene=amplitudes("nearest"), pixels=SPREAD),
    "amplitudes, tricubic": Parameter((1.0, 1.1, 12.0), table_with, scene=amplitudes("tricubic"), pixels=SPREAD),
    "cell, tricubic": Parameter(
        (9.0, 10.0, 11.0),
        lambda x: {**table_with(torch.tensor([1.0, 1.1, 12.0], dtype=torch.float64)), **each(*CELL[:3])(x)},
        scene={"interpolate": True},
    ),
}
WITHOUT_EFFECT = {"water of zero", "N of one", "cell of one", "wavelength with a matrix"}
"""Some component changes nothing: an edge along one cell; a matrix is divided by the wavelength that multiplies it."""
DIFFERENT = {
    "cell", "cell of gauss", "N of gauss", "fudge of gauss", "distance", "two-theta", "rotations about the sample",
    "curved detector", "sensor", "sensor per term", "polarization factor", "water",
}  # fmt: skip
"""Where the modes of physics do."""
CHECKS = [(name, mode) for name in PARAMETERS for mode in ("exact", "nanobragg")[: 1 + (name in DIFFERENT)]]


@pytest.mark.filterwarnings("ignore::nanobrag_torch.errors.TableRangeWarning")
@EVERY_WAY
@pytest.mark.parametrize(("name", "physics"), CHECKS)
def test_gradient(name, physics, backend):
    check(PARAMETERS[name], physics, backend, matters=name not in WITHOUT_EFFECT)


WHOLE = {
    **dict.fromkeys(CELL), "cell_a": 5.0, "misset_deg": None, "phi_deg": None, "osc_deg": None, "phi_steps": None,
    "Na": 5.0, "Nb": 4.0, "Nc": 3.0, "wavelength_A": 1.0, "pixel_mm": 1.0, "pixels_f": 40, "pixels_s": 1,
    "distance_mm": 40.0, "ORGX": 1.0, "ORGY": 1.0, "convention": "XDS",
}  # fmt: skip
"""Pixel (0, 30) has the indices 3 0 -1 exactly, and pixel (0, 0) is that of the direct beam (deviations, D47)."""
SINGULAR = {"a whole index": torch.tensor([[0, 30]]), "the direct beam": torch.tensor([[0, 0]])}
AT_SINGULAR = {
    "cell": ((5.0, 5.0, 5.0, 90.0, 90.0, 90.0), each(*CELL)),
    "misset": ((0.0, 0.0, 0.0), three("misset_deg")),
    "wavelength and distance": ((1.0, 40.0), each("wavelength_A", "distance_mm")),
    "N": ((5.0, 4.0, 3.0), each("Na", "Nb", "Nc")),
    "detector": (
        (1.0, 1.0, 0.0, 0.0, 0.0, 0.0), each("ORGX", "ORGY", "rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg")
    ),
    "polarization": ((0.7,), each("polarization_factor")),
}  # fmt: skip


@EVERY_WAY
@pytest.mark.parametrize("shape", ["square", "round", "gauss"])
@pytest.mark.parametrize("place", SINGULAR)
@pytest.mark.parametrize("name", AT_SINGULAR)
def test_gradient_at_a_singular_point(name, place, shape, backend):
    at, said = AT_SINGULAR[name]
    scene = {**WHOLE, "shape": shape, "pixels_s": 3} if shape == "gauss" else {**WHOLE, "shape": shape}
    if shape == "gauss":
        scene |= {"Na": 1.5, "Nb": 1.2, "Nc": 1.0}
        at = (1.5, 1.2, 1.1) if name == "N" else at
    parameter = Parameter(at, said, scene=scene, pixels=SINGULAR[place])
    check(parameter, "nanobragg" if shape == "gauss" else "exact", backend, matters=False)


@EVERY_WAY
@BOTH_MODES
def test_gradient_of_a_curved_detector_at_the_direct_beam(physics, backend):
    scene = {**WHOLE, "curved": True, "ORGX": None, "ORGY": None, "convention": "MOSFLM", "pixels_s": 21}
    parameter = Parameter((40.0, 10.0, 2.0), each("distance_mm", "Xbeam_mm", "Ybeam_mm"), scene=scene)
    check(replace(parameter, pixels=torch.tensor([[10, 2]])), physics, backend, matters=False)


@EVERY_WAY
@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_gradients_are_finite_for_every_shape(shape, backend):
    names, at = ("Na", "Nb", "Nc", "distance_mm"), (3.0, 4.0, 2.0, 60.0)
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    whole = torch.tensor([[s, f] for s in range(16) for f in range(20)])
    values = Parameter(at, each(*names), scene={"shape": shape}, pixels=whole).values(x, "exact", backend)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert torch.isfinite(gradient).all()


LARGE = {
    "cell": (CELL_AT, each(*CELL)),
    "misset": ((10.0, 20.0, 30.0), three("misset_deg")),
    "wavelength": ((1.2,), each("wavelength_A")),
    "N": ((5.0, 4.0, 3.0), each("Na", "Nb", "Nc")),
    "distance and beam centre": ((60.0, 6.0, 8.0), each("distance_mm", "Xbeam_mm", "Ybeam_mm")),
    "detector angles": ((3.0, 4.0, 5.0, 6.0), each("rotx_deg", "roty_deg", "rotz_deg", "twotheta_deg")),
    "sensor": ((300.0, 200.0), each("thickness_um", "attenuation_depth_um")),
    "phi": ((1.0, 2.0), each("phi_deg", "osc_deg")),
}
LARGE_SCENE = {
    **MOSAIC, **TWO_SOURCES, **SENSOR, **SWUNG, "water_um": 0.05, "oversample": 2, "pixels_f": 48, "pixels_s": 40,
    "pixel_mm": 0.4, "mosaic_domains": 2, "Na": 5.0, "Nb": 4.0, "Nc": 3.0,
}  # fmt: skip


@BOTH_MODES
@pytest.mark.parametrize("name", LARGE)
def test_a_loss_over_a_whole_image(name, physics):
    """Along a random direction, to 1e-6, by differences of fourth order."""
    at, said = LARGE[name]
    rows = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    parameter = Parameter(at, said, scene=LARGE_SCENE, pixels=torch.stack(rows, -1).reshape(-1, 2))
    generator = torch.Generator().manual_seed(7)
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    direction = torch.rand(len(at), dtype=torch.float64, generator=generator) + 0.5
    weights = torch.rand(40 * 48, dtype=torch.float64, generator=generator)

    def loss(y: Tensor) -> Tensor:
        values = parameter.values(y, physics, None)
        return (weights * values).sum() + (values * values).sum().sqrt()

    (gradient,) = torch.autograd.grad(loss(x), x)
    h, start = 5e-4, x.detach()
    f = [float(loss(start + k * h * direction)) for k in (1, -1, 2, -2)]
    difference = (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h)
    assert float(gradient @ direction) == pytest.approx(difference, rel=1e-6)


@EVERY_WAY
def test_gradients_do_not_depend_on_the_memory_budget(backend):
    found = []
    for budget in (2**29, 20_000):
        x = torch.tensor(CELL_AT, dtype=torch.float64, requires_grad=True)
        experiment = settled("exact", {**SCENE, **MOSAIC, **each(*CELL)(x)})
        Simulator(experiment, backend=backend, memory=budget).run().backward()
        found.append(x.grad)
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=float(found[0].abs().max()) * 1e-12)


def test_every_way_gives_the_same_gradients():
    found = []
    for backend in WAYS:
        x = torch.tensor((*CELL_AT, 1.2, 60.0, 300.0, 0.7), dtype=torch.float64, requires_grad=True)
        names = (*CELL, "wavelength_A", "distance_mm", "thickness_um", "polarization_factor")
        said = {**SCENE, **MOSAIC, **TWO_SOURCES, "attenuation_depth_um": 200.0, **each(*names)(x)}
        Simulator(settled("nanobragg", said), backend=backend).run().backward()
        found.append(x.grad)
    for other in found[1:]:
        assert float((other - found[0]).norm() / found[0].norm()) < 1e-8
    assert all(math.isfinite(g) for g in found[0].tolist())
