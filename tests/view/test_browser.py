"""The page in a real browser: quick, exact, and without a network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.io.cbf import write_cbf
from nanobrag_torch.io.raw import write_float_image
from nanobrag_torch.io.rings import resolution
from nanobrag_torch.io.smv import write_smv
from nanobrag_torch.view import Picture, read_pictures, write_page
from nanobrag_torch.view.main import main

FAST, SLOW = 2463, 2527
OPENS_WITHIN_S = 3.0


def read_out(text: str) -> dict[str, str]:
    """The words of a read-out line."""
    found = re.fullmatch(
        r"fast (?P<fast>\d+)  slow (?P<slow>\d+)  intensity (?P<intensity>\S+)(?: \((?P<meaning>.*)\))?"
        r"(?:  d (?P<d>\S+) Å)?(?:  h k l (?P<hkl>.*))?",
        text,
    )
    assert found is not None, text
    return found.groupdict()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, spots, header) -> tuple[Path, np.ndarray]:  # type: ignore[no-untyped-def]
    """A page of a float image with six million pixels."""
    folder = tmp_path_factory.mktemp("large")
    image = spots(FAST, SLOW)
    write_float_image(folder / "six.bin", image)
    write_smv(folder / "six.img", np.zeros((SLOW, FAST), np.uint16), header(FAST, SLOW))
    assert main([str(folder / "six.bin"), "-o", str(folder / "six.html")]) == 0
    return folder / "six.html", image


def test_six_megapixels_open_quickly_and_read_true(browser, large) -> None:  # type: ignore[no-untyped-def]
    page, image = large
    seconds = min(browser.open(page) for _ in range(2))
    assert seconds < OPENS_WITHIN_S
    scene = read_pictures(page.with_suffix(".bin"))[0].scene
    assert scene is not None
    generator = np.random.default_rng(5)
    for fast, slow in zip(generator.integers(0, FAST, 10), generator.integers(0, SLOW, 10), strict=True):
        found = read_out(browser.point_at(fast, slow))
        assert (found["fast"], found["slow"]) == (str(fast), str(slow))
        assert np.float32(found["intensity"]) == image[slow, fast]
        wanted = float(resolution(scene, np.array(fast + 0.5), np.array(slow + 0.5)))
        assert float(found["d"]) == pytest.approx(wanted, abs=0.01)
    assert browser.errors() == []


def test_contrast_zoom_and_pan(browser, large) -> None:  # type: ignore[no-untyped-def]
    from selenium.webdriver import ActionChains

    page, image = large
    browser.open(page)
    slow, fast = (int(x) for x in np.unravel_index(np.argmax(image), image.shape))
    before = browser.run("return nbview.panes[0].view")
    stage = browser.driver.find_element("css selector", ".stage")
    ActionChains(browser.driver).click_and_hold(stage).move_by_offset(60, 30).release().perform()
    after = browser.run("return nbview.panes[0].view")
    assert before["x"] - after["x"] == pytest.approx(60 / before["scale"], rel=1e-3)
    assert before["y"] - after["y"] == pytest.approx(30 / before["scale"], rel=1e-3)
    browser.run("document.getElementById('one').click()")
    assert browser.run("return nbview.panes[0].view.scale") == pytest.approx(1.0)
    browser.point_at(fast, slow)
    browser.run("document.getElementById('curve').dispatchEvent(new Event('change'))")
    settled = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    browser.run(settled)
    assert browser.colour(100, 90) == [0, 0, 0]
    browser.run(
        "const s = document.getElementById('colours'); s.value = 'white on black'; s.dispatchEvent(new Event('change'))"
    )
    browser.run(settled)
    assert browser.colour(100, 90) == [255, 255, 255]
    largest = float(image[slow, fast])
    browser.run(f"document.getElementById('low').value = 0; document.getElementById('high').value = {2 * largest}")
    browser.run("document.getElementById('curve').value = 'linear'")
    browser.run("document.getElementById('high').dispatchEvent(new Event('change'))")
    browser.run(settled)
    assert browser.colour(100, 90) == [128, 128, 128]


def test_several_images_move_and_read_together(browser, tmp_path, spots, header) -> None:  # type: ignore[no-untyped-def]
    image = spots(90, 70)
    counts = image.astype(np.uint16)
    write_float_image(tmp_path / "a.bin", image)
    write_smv(tmp_path / "a.img", counts, header(90, 70))
    scene = read_pictures(tmp_path / "a.img")[0].scene
    assert scene is not None
    signed = counts.astype(np.int32)
    signed[3, 4], signed[5, 6] = -1, -2
    write_cbf(tmp_path / "b.cbf", signed, scene, saturation=65535)
    page = tmp_path / "all.html"
    assert main([*(str(tmp_path / name) for name in ("a.bin", "a.img", "b.cbf")), "-o", str(page)]) == 0
    browser.open(page)
    browser.point_at(4, 3, pane=1)
    lines = [read_out(browser.run(f"return nbview.panes[{i}].readout.textContent")) for i in range(3)]
    assert np.float32(lines[0]["intensity"]) == image[3, 4]
    assert lines[1]["intensity"] == str(counts[3, 4])
    assert (lines[2]["intensity"], lines[2]["meaning"]) == ("-1", "not rendered")
    assert {line["d"] for line in lines} == {lines[0]["d"]}
    assert read_out(browser.point_at(6, 5, pane=2))["meaning"] == "masked"
    browser.driver.find_elements("css selector", ".stage")[2].click()
    kept = browser.driver.find_elements("css selector", "#kept tbody tr")
    assert [cell.text for cell in kept[0].find_elements("css selector", "td")][0] == "b.cbf"
    assert browser.errors() == []


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_every_type_arrives_as_it_is(browser, tmp_path, kind) -> None:  # type: ignore[no-untyped-def]
    generator = np.random.default_rng(1)
    if kind.startswith("float"):
        pixels = generator.normal(0, 1e3, (5, 7)).astype(kind)
        pixels[0, 0] = np.nan
    else:
        limits = np.iinfo(kind)
        pixels = generator.integers(limits.min, limits.max, (5, 7), dtype=kind, endpoint=True)
        pixels[0, :2] = limits.min, limits.max
    write_page(tmp_path / "p.html", [Picture('<b>&"', pixels)])
    browser.open(tmp_path / "p.html")
    found = browser.run("return [...nbview.panes[0].base.data].map(String)")
    np.testing.assert_array_equal(np.array(found, dtype=np.float64).astype(kind), pixels.ravel())
    assert browser.driver.find_element("css selector", "figcaption b").text == '<b>&"'
    assert "d" not in browser.run("return nbview.read(0, 1, 1)")
