import re
from importlib.resources import files

import pytest
import torch

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels import packing
from nanobrag_torch.kernels.pixel_sum import pixel_sum, why_not
from nanobrag_torch.kernels.structure_factors import StructureFactors


def header():
    return (files("nanobrag_torch.kernels") / "csrc" / "problem.h").read_text()


def test_lengths_are_those_of_the_kernels(make_scene):
    scene = make_scene()
    for name in ("LATTICE_LENGTH", "GEOMETRY_LENGTH", "SOURCE_LENGTH"):
        (number,) = re.findall(rf"{name} = (\d+)", header())
        assert getattr(packing, name) == int(number)
    problem = packing.scene_problem(scene, torch.float64)
    assert packing.lattice_parameters(scene.N, problem).shape == (packing.LATTICE_LENGTH,)
    assert packing.scene_geometry(scene).shape == (packing.GEOMETRY_LENGTH,)
    assert packing.scene_sources(scene).shape == (3, packing.SOURCE_LENGTH)


def test_configuration_has_the_kernels_order(make_scene):
    names = re.search(r"enum config \{(.*?)\};", header(), re.S)[1].replace("\n", " ").split(",")
    names = [name.strip() for name in names]
    config = packing.scene_config(make_scene(interpolate=True, per_term_thick=True), torch.float32)
    named = dict(zip(names, config, strict=True))
    assert names.index("THREADS") == packing.THREADS
    assert names.index("PIXELS_F") == packing.PIXELS_F
    expected = {"SHAPE": 0, "LOOKUP": 2, "SINGLE": 1, "SIZE_K": 15, "FIRST_L": -8, "ORIENTATIONS": 2, "SOURCES": 3}
    expected |= {"LAYERS": 2, "OVERSAMPLE": 2, "PIXELS_F": 20, "PER_TERM_OMEGA": 0, "PER_TERM_THICK": 1}
    assert {name: named[name] for name in expected} == expected


def offsets(name):
    """Names and values of an enumeration that gives places."""
    body = re.search(rf"enum {name} \{{(.*?)\}};", header(), re.S)[1]
    return {word: int(number) for word, number in re.findall(r"(\w+) = (\d+)", body)}


def test_real_parameters_stand_at_the_kernels_places(make_scene):
    scene = make_scene()
    lattice = packing.lattice_parameters(scene.N, packing.scene_problem(scene, torch.float64))
    places, geometry = offsets("geometry_offset"), packing.scene_geometry(scene)
    names = {name: name.lower() for name in places} | {"KAHN": "polarization_factor"}
    for name in places.keys() - {"SPHERE_FAST", "SPHERE_SLOW", "LARGEST", "GEOMETRY_LENGTH"}:
        value = torch.as_tensor(getattr(scene, names[name]), dtype=torch.float64).reshape(-1)
        assert torch.equal(geometry[places[name] : places[name] + len(value)], value), name
    places, sources = offsets("source_offset"), packing.scene_sources(scene)
    for name in ("INCIDENT", "WAVELENGTH", "WEIGHT"):
        value = getattr(scene, name.lower()).reshape(len(sources), -1)
        assert torch.equal(sources[:, places[name] : places[name] + value.shape[1]], value), name
    places = offsets("lattice_offset")
    for name, value in (("COUNTS", scene.N), ("FUDGE", scene.fudge), ("RECIPROCAL", scene.reciprocal)):
        assert torch.equal(lattice[places[name] :][: value.numel()], value.reshape(-1)), name


def test_what_a_shape_does_not_use_asks_for_no_gradient(make_scene):
    scene = make_scene(reciprocal=torch.eye(3, dtype=torch.float64, requires_grad=True))
    for shape, asks in (("square", False), ("round", False), ("gauss", True)):
        problem = packing.scene_problem(make_scene(shape=shape, reciprocal=scene.reciprocal), torch.float64)
        assert packing.lattice_parameters(scene.N, problem).requires_grad is asks


def test_polarization_axes_are_across_each_source(make_scene):
    scene = make_scene()
    sources = packing.scene_sources(scene)
    for directions in (sources[:, 5:8], sources[:, 8:11]):
        torch.testing.assert_close((directions * scene.incident).sum(1), torch.zeros(3).double(), atol=1e-15, rtol=0)
        torch.testing.assert_close(directions.norm(dim=1), torch.ones(3).double())


def test_a_table_beyond_32_bits_is_refused_before_it_is_copied(make_scene):
    values = torch.zeros((), dtype=torch.float64).expand(2048, 1024, 1024)
    table = StructureFactors(values, (0, 0, 0), torch.zeros((), dtype=torch.float64))
    with pytest.raises(InputError, match="reference"):
        packing.pack_scene(make_scene(structure_factors=table), torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_packed_scene_serves_any_number_of_lists(make_scene, dtype):
    scene = make_scene(background="exact")
    if why_not(scene) is not None:
        pytest.skip(why_not(scene))
    packed = packing.pack_scene(scene, dtype)
    assert packed.tensors[4].dtype is dtype
    for pixels in (range(40), range(100, 120)):
        plain, again = (pixel_sum(scene, pixels, dtype=dtype, packed=given) for given in (None, packed))
        assert torch.equal(plain.total, again.total)
        assert torch.equal(plain.background, again.background)


def test_the_table_of_a_scene_with_a_gradient_stays_in_double(make_scene):
    values = torch.ones(9, 9, 9, dtype=torch.float64, requires_grad=True)
    table = StructureFactors(values, (-4, -4, -4), torch.zeros((), dtype=torch.float64))
    packed = packing.pack_scene(make_scene(structure_factors=table), torch.float32)
    assert packed.tensors[4].dtype is torch.float64
