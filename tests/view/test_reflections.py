"""Reflections over images, differences, and films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.raw import write_float_image
from nanobrag_torch.io.refl import read_refl, write_refl
from nanobrag_torch.io.reflection_table import ReflectionTable
from nanobrag_torch.io.smv import write_smv
from nanobrag_torch.spots import predict
from nanobrag_torch.view import Picture, differences, page, read_pictures
from nanobrag_torch.view.main import main
from nanobrag_torch.view.reflections import OBSERVED, PREDICTED, layers_of, with_reflections

pytest.importorskip("msgpack", reason="msgpack is not installed")
MEASURED = Path(__file__).resolve().parents[2] / "examples" / "l_cysteine"
EXPT, REFL = MEASURED / "sweep_01.expt", MEASURED / "sweep_01.refl"


def table(**columns: object) -> ReflectionTable:
    return ReflectionTable({name: np.asarray(values) for name, values in columns.items()})


def blank(frame: int | None, panel: int = 0) -> Picture:
    return Picture("p", np.zeros((4, 4), np.uint8), panel=panel, frame=frame)


def test_observed_spots_stand_on_the_images_of_their_boxes() -> None:
    stored = read_refl(REFL)
    (observed,) = (layer for layer in layers_of(REFL, None, predict=False) if layer.kind == OBSERVED)
    for image in (1, 7, 15):
        shown = with_reflections([blank(image)], [observed])[0].spots[0]
        chosen = (stored.boxes[:, 4] < image) & (image <= stored.boxes[:, 5])
        np.testing.assert_array_equal(shown.places, stored.observed[chosen, :2])
        np.testing.assert_array_equal(shown.indices, stored.indices[chosen])
    everything = with_reflections([blank(3)], [observed], every=True)[0].spots[0]
    assert len(everything.places) == len(stored)
    assert len(with_reflections([blank(3, panel=1)], [observed])[0].spots[0].places) == 0


def test_predictions_come_from_the_experiment_and_replace_those_of_the_table() -> None:
    (experiment,) = read_expt_list(EXPT)
    wanted = predict(experiment)
    layers = layers_of(REFL, EXPT, predict=True)
    assert sorted(layer.kind for layer in layers) == [OBSERVED, PREDICTED]
    (predicted,) = (layer for layer in layers if layer.kind == PREDICTED)
    for image in range(1, 16):
        z = wanted.predicted[:, 2]
        inside = {tuple(h) for h in wanted.indices[(image - 1 <= z) & (z < image)].tolist()}
        shown = {tuple(h) for h in predicted.on(0, image).indices.tolist()}
        assert inside <= shown
    assert len(predicted.on(0, None).places) == len(predicted.places)


def test_a_table_without_boxes_uses_the_centroid(tmp_path: Path) -> None:
    made = table(**{"xyzobs.px.value": [[1.0, 2.0, 0.4], [3.0, 4.0, 1.6], [np.nan, 1.0, 1.0]]})
    write_refl(tmp_path / "a.refl", made)
    (layer,) = layers_of(tmp_path / "a.refl", None, predict=False)
    assert layer.on(0, 1).places.tolist() == [[1.0, 2.0]]
    assert layer.on(0, 2).places.tolist() == [[3.0, 4.0]]
    assert layer.on(0, 2).indices.tolist() == [[0, 0, 0]]
    write_refl(tmp_path / "none.refl", table(miller_index=np.ones((1, 3), np.int32)))
    with pytest.raises(InputError, match="has no column"):
        layers_of(tmp_path / "none.refl", None, predict=False)


def test_a_difference_knows_what_was_not_measured() -> None:
    a = Picture("a", np.array([[5, -1, 7]], np.int32), meanings={-1: "gap"})
    b = Picture("b", np.array([[2.0, 2.0, 9.5]], np.float32))
    (found,) = differences([a], [b])
    np.testing.assert_array_equal(found.pixels, np.array([[3.0, np.nan, -2.5]], np.float32))
    assert found.diverging
    assert found.name == "a − b"
    with pytest.raises(InputError, match="3 x 1 and 1 x 3 pixels"):
        differences([a], [Picture("c", np.zeros((3, 1), np.uint8))])


def test_a_film_needs_images_of_one_size() -> None:
    with pytest.raises(InputError, match="differ in size"):
        page([blank(1), Picture("q", np.zeros((4, 5), np.uint8))], film=True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--predict", "no experiment is given"),
        ("--all-reflections", "there are no reflections"),
        ("--difference", "it needs two files"),
        ("--frames 3", "is no range of images"),
        ("--frames 5:2", "is no range of images"),
        ("--frames 1:2", "holds one image"),
        ("--refl missing.refl", "missing.refl"),
    ],
)
def test_refusals_leave_nothing(words, complaint, float_file, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(float_file.parent)
    assert main(["a.bin", *words.split()]) == 9
    assert complaint in capsys.readouterr().err
    assert not Path("a.html").exists()


def test_a_page_does_not_overwrite_its_reflections(float_file, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(float_file.parent)
    before = REFL.read_bytes()
    Path("r.refl").write_bytes(before)
    assert main(["a.bin", "--refl", "r.refl", "-o", "r.refl"]) == 9
    assert Path("r.refl").read_bytes() == before


def film(folder: Path, spots, header) -> Path:  # type: ignore[no-untyped-def]
    """Three small miniCBF images as a film, with two spots of a table over them."""
    write_float_image(folder / "a.bin", spots(90, 70))
    write_smv(folder / "a.img", np.zeros((70, 90), np.uint16), header(90, 70))
    scene = read_pictures(folder / "a.img")[0].scene
    assert scene is not None
    for number in range(3):
        write_cbf(folder / f"f{number}.cbf", np.full((70, 90), 10 * (number + 1), np.int32), scene, saturation=65535)
    columns = {"xyzobs.px.value": [[20.5, 30.5, 0.5], [40.5, 50.5, 2.5]], "miller_index": [[1, 2, 3], [0, 0, 0]]}
    write_refl(folder / "s.refl", table(**columns))
    files = [str(folder / f"f{number}.cbf") for number in range(3)]
    made = folder / "film.html"
    assert main([*files, "--film", "--refl", str(folder / "s.refl"), "-o", str(made)]) == 0
    return made


def test_a_film_in_a_browser(browser, tmp_path, spots, header) -> None:  # type: ignore[no-untyped-def]
    browser.open(film(tmp_path, spots, header))
    assert browser.run("return nbview.panes.length") == 1
    assert "intensity 10" in browser.point_at(20, 30)
    assert browser.point_at(20, 30).endswith("observed 1 2 3")
    press = "document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))"
    browser.driver.execute_script(press, ".")
    assert browser.run("return document.getElementById('number').textContent") == "2 of 3"
    assert "intensity 20" in browser.point_at(20, 30)
    assert "observed" not in browser.point_at(20, 30)
    browser.driver.execute_script(press, ".")
    assert browser.driver.find_element("css selector", "figcaption b").text == "f2.cbf"
    assert browser.point_at(40, 50).endswith("observed without indices")
    browser.run("document.getElementById('observed').click()")
    assert "observed" not in browser.point_at(40, 50)
    browser.driver.execute_script(press, ".")
    assert browser.run("return document.getElementById('number').textContent") == "1 of 3"
    browser.run("document.getElementById('play').click()")
    moved = (
        "return new Promise((done) => { const slider = document.getElementById('frame'), t = setInterval(() => {"
        " if (slider.value != '0') { clearInterval(t); done(true); } }, 10); })"
    )
    assert browser.run(moved)
    assert browser.run("return document.getElementById('play').textContent") == "pause"
    assert browser.errors() == []


def test_a_difference_in_a_browser_is_red_and_blue(browser, tmp_path) -> None:  # type: ignore[no-untyped-def]
    first, second = np.full((40, 40), 5.0, np.float32), np.full((40, 40), 5.0, np.float32)
    first[:, :10] += 1.0
    second[:, 30:] += 1.0
    for name, values in (("a", first), ("b", second)):
        write_float_image(tmp_path / f"{name}.bin", values)
    words = [str(tmp_path / "a.bin"), str(tmp_path / "b.bin"), "--size", "40", "40", "--difference"]
    assert main([*words, "-o", str(tmp_path / "d.html")]) == 0
    browser.open(tmp_path / "d.html")
    assert browser.run("return nbview.panes.length") == 3
    assert "intensity 1" in browser.point_at(3, 20, pane=2)
    assert "intensity -1" in browser.point_at(35, 20, pane=2)
    browser.run("document.getElementById('fit').click()")
    settled = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    browser.run(settled)
    at = "const p = nbview.panes[2]; return [{} - p.view.x, 20 - p.view.y].map((x) => Math.round(x * p.view.scale))"
    left, middle, right = (browser.colour(*browser.run(at.format(x)), pane=2) for x in (5, 20, 35))
    assert left == [255, 0, 0]
    assert middle == [255, 255, 255]
    assert right == [0, 0, 255]
