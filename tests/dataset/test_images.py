"""Images: independent of how they are grouped; labels against the pictures."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch import InputError, Simulator
from nanobrag_torch.dataset.images import Maker
from nanobrag_torch.dataset.reading import read_population


def arrays(sample):
    return {"image": sample.image, **sample.reflections, **sample.extra}


def test_an_image_alone_is_the_image_among_others(write):
    population = read_population(write())
    together = list(Maker(population).samples(range(7)))
    assert {sample.parameters["lattices"] for sample in together} == {1, 2}
    alone = Maker(population)
    for number in (6, 2):
        (one,) = alone.samples([number])
        assert one.parameters == together[number].parameters
        for name, values in arrays(one).items():
            assert np.array_equal(values, arrays(together[number])[name]), name


def test_files_are_read_once(write, tmp_path):
    (tmp_path / "t.hkl").write_text("".join(f"{h} {k} {l} 9\n" for h in range(9) for k in range(9) for l in range(9)))
    population = read_population(
        write(
            ("default_F: 100", "hkl_file: t.hkl"),
            ("fluence: {log", "shape: {choice: [gauss, square]}\n  fluence: {log"),
        )
    )
    maker = Maker(population)
    assert {s.parameters["shape"] for s in maker.samples(range(7))} == {"gauss", "square"}
    assert maker.scenes.inputs.reads == 1
    assert all((s.reflections["h"] >= 0).all() for s in maker.samples(range(2)))


def test_the_noise_free_image_is_the_scene_rendered(write):
    population = read_population(write(("choice: [1, 2]", "choice: [1]")))
    maker = Maker(population)
    (sample,) = maker.samples([5])
    rendered = Simulator(maker.experiment(5)).run().array.numpy()
    assert np.allclose(sample.extra["noise_free"], rendered, rtol=2e-7, atol=0)
    assert abs(sample.image.mean() - rendered.mean()) < 5 * (rendered.mean() / rendered.size) ** 0.5
    assert (sample.extra["mask"] > 0).sum() > 9


def test_expected_photons_and_saturation(write):
    population = read_population(
        write(("labels:", "noise: {saturation: 50}\nlabels:"), ("choice: [1, 2]", "choice: [1]"))
    )
    (sample,) = Maker(population).samples([3])
    table, shape = sample.reflections, sample.image.shape
    assert sample.image.max() == 50
    for place in range(len(table["h"])):
        fast, slow = int(table["fast"][place]), int(table["slow"][place])
        own = slice(max(slow - 2, 0), slow + 3), slice(max(fast - 2, 0), fast + 3)
        pixels = sample.extra["noise_free"][own]
        assert table["pixels"][place] == pixels.size
        assert table["expected"][place] + table["background"][place] == pytest.approx(pixels.sum(), rel=1e-5)
        assert table["saturated"][place] == (sample.image[own] == 50).sum()
    assert shape == (36, 40)


def test_beam_stop_and_even_background(write):
    text = "beam_stop_mm: 4\n  background_photons: 5\n  lattices"
    (sample,) = Maker(read_population(write(("lattices", text)))).samples([0])
    fast, slow = sample.parameters["beam_pixel"]
    y, x = np.mgrid[:36, :40] + 0.5
    hidden = (x - fast) ** 2 + (y - slow) ** 2 < (4 / 0.5) ** 2
    assert (sample.extra["noise_free"][hidden] == 0).all()
    assert (sample.extra["mask"] == -1).sum() == hidden.sum() > 100
    assert sample.extra["noise_free"][~hidden].min() >= 5


def test_gradients(write):
    population = read_population(
        write(("masks: true", "gradients: [fluence, misset]"), ("choice: [1, 2]", "choice: [1]"))
    )
    maker = Maker(population)
    (sample,) = maker.samples([1])
    assert sample.extra["gradients"].shape == (4, 36, 40)
    fluence = sample.parameters["fluence"]
    assert np.allclose(sample.extra["gradients"][0] * fluence, sample.extra["noise_free"], rtol=1e-5)


def test_backgrounds_of_every_kind_are_the_scene_rendered(write):
    path = write(
        ("  water_um: 1", "  water_um: 1\n  air_mm: 20"),
        ("choice: [1, 2]", "choice: [1]"),
    )
    maker = Maker(read_population(path))
    for sample in maker.samples([2, 3]):
        rendered = Simulator(maker.experiment(sample.number)).run().array.numpy()
        assert np.allclose(sample.extra["noise_free"], rendered, rtol=1e-6, atol=0)


def test_scenes_without_labels(write):
    path = write(("  Na: 6", "  Na: 6\n  curved: true"))
    with pytest.raises(InputError, match="a curved detector"):
        list(Maker(read_population(path)).samples([0]))
    path.write_text(path.read_text().replace("{masks: true", "{reflections: false, masks: false"))
    (sample,) = Maker(read_population(path)).samples([0])
    assert sample.reflections == {}
