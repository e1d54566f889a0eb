"""Rendering: one pixel list, invariances, replaced experiments, and the ways to compute."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Experiment,
    Image,
    PanelConfig,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import BackendUnavailable, InputError, NanobragWarning
from nanobrag_torch.geometry.rotation import rotate_xyz
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.kernels.backends import BACKENDS

CPU = torch.device("cpu")
SERVING = [name for name, backend in BACKENDS.items() if backend.why_not(CPU, torch.float64, "square", False) is None]
WAYS = [None, "reference"] if len(SERVING) > 1 else ["reference"]
"""The best way on this machine, and the definition."""

EVERY_WAY = pytest.mark.parametrize("backend", WAYS, ids=str)

COMMON = "-detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 -oversample 1 "
E0 = "-default_F 100 -cell 40 45 50 -N 4 " + COMMON


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse([*line.split(), "-dump", "no such dump"]), physics)


def drawn(line: str, backend: str | None = None, **way) -> Image:
    return Simulator(experiment(line), backend=backend, **way).run(solid_angle=True)


def array(line: str, backend: str | None = None, **way) -> np.ndarray:
    return drawn(line, backend, **way).array.numpy()


# -- one pixel list: chunks, subsets, regions, masks and panels change no value

MISSET = " -misset 10 20 30 "
RICH = E0 + MISSET + (
    "-cell 40 45 50 80 85 95 -mosaic 1 -mosaic_domains 3 -osc 1 -phisteps 2 -hdivrange 5 -hdivsteps 2 -oversample 2 "
    "-detector_thick 100 -detector_abs 300 -water 3 -dmin 15 -polar 0.8 -oversample_omega -detector_roty 5 "
)  # fmt: skip
GRID = torch.stack(torch.meshgrid(torch.arange(16), torch.arange(20), indexing="ij"), dim=-1).reshape(-1, 2)


@pytest.fixture(scope="module")
def rich() -> Experiment:
    return experiment(RICH)


@EVERY_WAY
@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_any_memory_budget_gives_the_same_bits(rich, shape, backend):
    scene = rich.replace(shape=shape)
    whole = Simulator(scene, backend=backend).run().array
    for budget in (30_000, 99_999):
        assert torch.equal(Simulator(scene, backend=backend, memory=budget).run().array, whole)
    few = GRID[100:106]
    one_by_one = Simulator(scene, backend=backend, memory=1).run(few)
    assert torch.equal(one_by_one.values[0], whole[few[:, 0], few[:, 1]])


@EVERY_WAY
def test_any_number_of_threads_gives_the_same_bits(rich, backend):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = Simulator(rich, backend=backend).run().array
        torch.set_num_threads(3)
        assert torch.equal(Simulator(rich, backend=backend).run().array, one)
    finally:
        torch.set_num_threads(before)


@EVERY_WAY
def test_a_subset_of_pixels_is_a_slice_of_the_whole(rich, backend):
    whole = Simulator(rich, backend=backend).run().array
    order = torch.randperm(len(GRID), generator=torch.Generator().manual_seed(1))
    for chosen in (GRID, GRID[order], GRID[order[:7]], GRID[17:18]):
        found = Simulator(rich, backend=backend).run(chosen)
        assert torch.equal(found.values[0], whole[chosen[:, 0], chosen[:, 1]])
    some = Simulator(rich, backend=backend).run(GRID[5:9])
    assert int((some.array != 0).sum()) == int((whole[0, 5:9] != 0).sum())


@EVERY_WAY
def test_an_empty_list_of_pixels_is_an_empty_image(rich, backend):
    found = Simulator(rich, backend=backend).run(GRID[:0])
    assert found.values[0].shape == (0,)
    assert not found.array.any()


@EVERY_WAY
def test_region_and_mask_blank_what_they_leave_out(rich, backend):
    whole = Simulator(rich, backend=backend).run().array
    mask = np.random.default_rng(1).random((16, 20)) > 0.3
    sampling = rich.sampling.replace(roi=(3, 10, 5, 12), masks=(mask,))
    found = Simulator(rich.replace(sampling=sampling), backend=backend).run()
    keep = torch.from_numpy(mask.copy())
    keep[:5] = keep[13:] = False
    keep[:, :3] = keep[:, 11:] = False
    assert torch.equal(found.array, torch.where(keep, whole, 0.0))
    assert len(found.values[0]) == int(keep.sum())


@pytest.mark.parametrize("wrong", [[[16, 0]], [[0, 20]], [[-1, 0]], [[0, -1]], [[1, 0, 0]], [[-1, 0, 0]]])
def test_pixels_outside_the_detector_are_refused(rich, wrong):
    with pytest.raises(InputError, match="pixels"):
        Simulator(rich).run(torch.tensor(wrong))


@pytest.mark.parametrize("wrong", [torch.zeros(3, 2), torch.zeros(3, 4, dtype=torch.int64), torch.tensor([1, 2])])
def test_lists_that_are_no_lists_of_pixels_are_refused(rich, wrong):
    with pytest.raises(InputError, match="integers"):
        Simulator(rich).run(wrong)


def test_progress_adds_up_to_the_number_of_pixels(rich):
    for backend in WAYS:
        seen: list[int] = []
        Simulator(rich, backend=backend, memory=50_000).run(progress=seen.append)
        assert sum(seen) == 320
        seen.clear()
        Simulator(rich, backend=backend).run(GRID[:9], progress=seen.append)
        assert sum(seen) == 9


CRYSTAL = CrystalConfig(
    cell_a=40.0, cell_b=45.0, cell_c=50.0, Na=4, Nb=4, Nc=4, default_F=100.0, misset_deg=(10.0, 20.0, 30.0),
    water_um=3.0,
)  # fmt: skip


def panels(*rows: tuple[int, int], width: int = 8) -> tuple[PanelConfig, ...]:
    """Strips of one plane, each `rows[i]` = (first slow index, number of rows)."""
    return tuple(
        PanelConfig((60.0, 3.0 - 0.4 * first, -2.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), width, count, 0.4)
        for first, count in rows
    )


def many(*rows: tuple[int, int], physics: str = "exact", **sampling) -> Experiment:
    config = Config(
        crystal=CRYSTAL,
        beam=BeamConfig(wavelength_A=1.2, hdiv_range_mrad=5.0),
        detector=DetectorConfig(panels=panels(*rows)),
        sampling=SamplingConfig(oversample=2, **sampling),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(config, physics)


@EVERY_WAY
@pytest.mark.parametrize("physics", ["exact", "nanobragg"])
def test_panels_are_drawn_as_if_each_stood_alone(physics, backend):
    """A detector cut into strips shows the same picture as the uncut one."""
    (whole,) = Simulator(many((0, 12), physics=physics), backend=backend).run().panels
    cut = Simulator(many((0, 5), (5, 4), (9, 3), physics=physics), backend=backend).run(solid_angle=True)
    assert [tuple(p.shape) for p in cut.panels] == [(5, 8), (4, 8), (3, 8)]
    torch.testing.assert_close(torch.cat(cut.panels), whole, rtol=1e-9, atol=0)
    alone = Simulator(many((5, 4), physics=physics), backend=backend).run()
    assert torch.equal(alone.array, cut.panels[1])
    with pytest.raises(ValueError, match="3 panels"):
        _ = cut.array


def test_statistics_of_panels_are_those_of_all_their_pixels():
    cut = Simulator(many((0, 5), (5, 4), (9, 3), physics="nanobragg")).run(solid_angle=True)
    whole = Simulator(many((0, 12), physics="nanobragg")).run(solid_angle=True)
    for a, b in zip(cut.statistics(), whole.statistics(), strict=True):
        if isinstance(a, float):
            assert a == pytest.approx(b, rel=1e-6)


@EVERY_WAY
def test_pixels_of_several_panels_name_their_panel(backend):
    scene = many((0, 5), (5, 4), (9, 3))
    whole = Simulator(scene, backend=backend).run()
    chosen = torch.tensor([[2, 1, 3], [0, 4, 7], [2, 0, 0]])
    found = Simulator(scene, backend=backend).run(chosen)
    assert torch.equal(found.values[0], whole.panels[0][4, 7:])
    assert found.values[1].shape == (0,)
    assert torch.equal(found.values[2], torch.stack([whole.panels[2][1, 3], whole.panels[2][0, 0]]))
    with pytest.raises(InputError, match="several panels"):
        Simulator(scene).run(chosen[:, 1:])
    with pytest.raises(InputError, match="panel number"):
        Simulator(scene).run(torch.tensor([[3, 0, 0]]))


@EVERY_WAY
def test_a_panel_masked_as_a_whole_stays_blank(backend):
    masks = (np.ones((5, 8)), np.zeros((4, 8)))
    found = Simulator(many((0, 5), (5, 4), mask=masks), backend=backend).run()
    assert not found.panels[1].any()
    assert torch.equal(found.panels[0], Simulator(many((0, 5)), backend=backend).run().array)


# -- invariances

TURN = vector((0.4, -0.9, 2.1))


def turned(values: tuple[float, float, float], angles: torch.Tensor | None) -> tuple[float, ...]:
    w = vector(values)
    return tuple((w if angles is None else rotate_xyz(w, angles)).tolist())


def everything(pivot: str, physics: str, angles: torch.Tensor | None) -> Experiment:
    """A scene in which every direction, the crystal's included, is turned by the same angles."""
    matrix = torch.tensor([[0.02, 0.001, 0.002], [0.0005, 0.018, -0.001], [0.001, -0.002, 0.015]], dtype=torch.float64)
    matrix = matrix if angles is None else rotate_xyz(matrix.T, angles).T
    config = Config(
        crystal=CrystalConfig(
            orientation_matrix=matrix, Na=5, Nb=4, Nc=3, default_F=100.0, shape="gauss", water_um=2.0
        ),
        beam=BeamConfig(
            wavelength_A=1.2,
            hdiv_range_mrad=5.0,
            vdiv_range_mrad=3.0,
            polarization_factor=0.8,
            beam_vector=turned((1.0, 0.0, 0.0), angles),
            polar_vector=turned((0.0, 0.0, 1.0), angles),
        ),
        detector=DetectorConfig(
            convention="CUSTOM",
            pivot=pivot,
            distance_mm=60.0,
            pixels_f=12,
            pixels_s=9,
            pixel_mm=0.6,
            thickness_um=100.0,
            attenuation_depth_um=300.0,
            twotheta_deg=12.0,
            fdet_vector=turned((0.0, 0.0, 1.0), angles),
            sdet_vector=turned((0.0, -1.0, 0.0), angles),
            odet_vector=turned((1.0, 0.0, 0.0), angles),
            twotheta_axis=turned((0.0, 1.0, 0.0), angles),
        ),
        sampling=SamplingConfig(osc_deg=1.0, phi_steps=2, oversample=2, spindle_axis=turned((0.0, 0.6, 0.8), angles)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(config, physics)


@EVERY_WAY
@pytest.mark.parametrize("physics", ["exact", "nanobragg"])
@pytest.mark.parametrize("pivot", ["BEAM", "SAMPLE"])
def test_turning_everything_changes_nothing(pivot, physics, backend):
    rest = Simulator(everything(pivot, physics, None), backend=backend).run().array
    found = Simulator(everything(pivot, physics, TURN), backend=backend).run().array
    torch.testing.assert_close(found, rest, rtol=1e-8, atol=float(rest.max()) * 1e-12)


def test_intensity_is_proportional_to_fluence_and_to_the_square_of_F():
    reference = array(E0 + "-fluence 1e20")
    np.testing.assert_allclose(array(E0 + "-fluence 3e20"), 3 * reference, rtol=1e-13)
    np.testing.assert_allclose(array(E0 + "-fluence 1e20 -default_F 250"), 2.5**2 * reference, rtol=1e-13)


def test_the_mean_over_sources_phi_steps_and_domains_is_taken():
    """A sweep of identical steps, and sources without divergence, change nothing."""
    np.testing.assert_allclose(array(E0 + "-osc 0 -phisteps 3"), array(E0), rtol=1e-13)
    scene = experiment(E0)
    beam = scene.beam.replace(
        source_positions=scene.beam.source_positions.expand(4, 3),
        wavelength_ratios=torch.ones(4, dtype=torch.float64),
        weights=torch.ones(4, dtype=torch.float64),
    )
    torch.testing.assert_close(Simulator(scene.replace(beam=beam)).run().array, Simulator(scene).run().array)


@EVERY_WAY
def test_weights_of_sources_count_in_proportion(backend):
    scene = experiment(E0 + "-hdivrange 20 -nopolar")

    def weighted(first: float, second: float) -> torch.Tensor:
        return Simulator(scene.replace(weights=vector((first, second))), backend=backend).run().array

    torch.testing.assert_close(weighted(0.5, 1.5), 0.5 * weighted(1.0, 0.0) + 1.5 * weighted(0.0, 1.0))


def test_friedel_mates_are_equally_strong_without_a_table():
    """A left-handed choice of axes by inversion changes no intensity."""
    scene = experiment(E0 + MISSET)
    mates = scene.replace(reciprocal=-torch.linalg.inv(torch.diag(vector((40.0, 45.0, 50.0)))), cell=None)
    plain = scene.replace(reciprocal=torch.linalg.inv(torch.diag(vector((40.0, 45.0, 50.0)))), cell=None)
    torch.testing.assert_close(Simulator(mates).run().array, Simulator(plain).run().array)


# -- replace, and the ways to compute


@EVERY_WAY
def test_a_replaced_experiment_is_drawn_as_if_settled_so(backend):
    for fields, line in (
        ({"misset": vector((0.0, 0.0, 0.0))}, E0),
        ({"distance": real(0.07)}, E0 + MISSET + "-distance 70"),
        ({"wavelength": real(1.3)}, E0 + MISSET + "-lambda 1.3"),
        ({"twotheta": real(math.radians(5.0))}, E0 + MISSET + "-twotheta 5"),
        ({"polarization_factor": real(0.9)}, E0 + MISSET + "-polar 0.9"),
        ({"N": vector((5.0, 5.0, 5.0)), "shape": "round"}, E0 + MISSET + "-N 5 -round_xtal"),
        ({"oversample": 2}, E0 + MISSET + "-oversample 2"),
        ({"curved": True}, E0 + MISSET + "-curved_det"),
    ):
        found = Simulator(experiment(E0 + MISSET).replace(**fields), backend=backend).run().array
        np.testing.assert_allclose(found.numpy(), array(line, backend), rtol=1e-11)


@EVERY_WAY
def test_single_precision_keeps_the_phase(backend):
    """The contract: correlation and sum, also with h about 100 and 1000 cells."""
    fine = "-cell 100 -N 1000 -default_F 1 -xds -pixel 0.001 -detpixels 20 -distance 100 -ORGX -60000 -ORGY -40000 "
    for line in (RICH, fine + "-lambda 1 -oversample 1"):
        double = array(line, backend).ravel()
        single = array(line, backend, dtype="float32").ravel()
        assert np.corrcoef(double, single)[0, 1] >= 0.99999
        assert single.sum() == pytest.approx(double.sum(), rel=1e-4)


def test_the_image_can_be_asked_for_in_single_precision(rich):
    for backend in WAYS:
        simulator = Simulator(rich, backend=backend)
        single = simulator.run(out_dtype=torch.float32)
        assert single.array.dtype == torch.float32
        assert np.array_equal(single.array.numpy(), simulator.run().numpy()[0])


def test_what_cannot_serve_is_refused_with_the_reason(rich):
    with pytest.raises(BackendUnavailable, match="fast.*choose one of"):
        Simulator(rich, backend="fast").run()
    with pytest.raises(BackendUnavailable, match="float16"):
        Simulator(rich, dtype="float16")
    with pytest.raises(BackendUnavailable, match="int32"):
        Simulator(rich, dtype=torch.int32)
    with pytest.raises(BackendUnavailable, match="not a torch device"):
        Simulator(rich, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(BackendUnavailable, match="no CUDA device"):
            Simulator(rich, device="cuda")


def test_the_best_way_agrees_with_the_definition(rich):
    for shape in ("square", "round", "gauss"):
        scene = rich.replace(shape=shape)
        best, reference = (Simulator(scene, backend=backend).run().array for backend in (None, "reference"))
        assert float((best - reference).norm() / reference.norm()) < 1e-10


def test_a_simulator_can_run_again(rich):
    simulator = Simulator(rich)
    assert torch.equal(simulator.run().array, simulator.run().array)
    assert simulator.run().experiment is rich
