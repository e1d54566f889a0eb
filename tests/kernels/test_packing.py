import re
from importlib.resources import files

import torch

from nanobrag_torch.kernels import packing


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
    expected = {"SHAPE": 0, "LOOKUP": 2, "SINGLE": 1, "SIZE_K": 15, "FIRST_L": -8, "ORIENTATIONS": 2, "SOURCES": 3}
    expected |= {"LAYERS": 2, "OVERSAMPLE": 2, "PIXELS_F": 20, "PER_TERM_OMEGA": 0, "PER_TERM_THICK": 1}
    assert {name: named[name] for name in expected} == expected


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
