"""Scenes and files to look at, and a browser where one is installed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.io.raw import write_float_image
from nanobrag_torch.io.smv import SmvHeader, write_smv

PIXEL_MM, DISTANCE_MM, WAVELENGTH = 0.172, 190.0, 0.98


def header(fast: int, slow: int, beam_mm: tuple[float, float] | None = None) -> SmvHeader:
    """The header of a flat detector square to the beam, which meets it at `beam_mm` (F_b, S_b), else in the middle."""
    f, s = beam_mm or (fast * PIXEL_MM / 2, slow * PIXEL_MM / 2)
    return SmvHeader(
        pixels_f=fast,
        pixels_s=slow,
        pixel_size=PIXEL_MM,
        distance=DISTANCE_MM,
        wavelength=WAVELENGTH,
        beam_centre=(s, f),
        adxv_centre=(f, slow * PIXEL_MM - s),
        mosflm_centre=(s, f),
        denzo_beam=(s, f),
        dials_origin=(0.0, 0.0, 0.0),
        xds_origin_pixels=(f / PIXEL_MM + 0.5, s / PIXEL_MM + 0.5),
        close_distance=DISTANCE_MM,
        phi=0.0,
        osc_range=0.0,
        twotheta=0.0,
    )


def spots(fast: int, slow: int, seed: int = 0) -> np.ndarray:
    """A noisy background with a few thousand spots, float32 [slow, fast]."""
    generator = np.random.default_rng(seed)
    image = generator.gamma(20.0, 0.5, (slow, fast)).astype(np.float32)
    rows, columns = generator.integers(2, slow - 3, 3000), generator.integers(2, fast - 3, 3000)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            image[rows + dy, columns + dx] += 3000.0 / (1 + dx * dx + dy * dy)
    return image


@pytest.fixture
def float_file(tmp_path: Path) -> Path:
    """A float image with the SMV file that was written beside it."""
    image = spots(120, 80)
    write_float_image(tmp_path / "a.bin", image)
    write_smv(tmp_path / "a.img", image.astype(np.uint16), header(120, 80))
    return tmp_path / "a.bin"


class Browser:
    """A headless browser that opens pages of ours."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> float:
        """Seconds from asking for a page to its images being on the screen."""
        self.driver.get_log("browser")  # what another page complained about is no concern of this one
        start = time.perf_counter()
        self.driver.get(page.resolve().as_uri())
        while time.perf_counter() - start < 60:
            data = self.run("return {...document.documentElement.dataset}")
            if "failed" in data:
                pytest.fail(data["failed"])
            if "ready" in data:
                return time.perf_counter() - start
            time.sleep(0.01)
        raise TimeoutError(f"{page} does not become ready")

    def run(self, script: str) -> Any:
        """The result of a script in the page."""
        return self.driver.execute_script(script)

    def point_at(self, fast: int, slow: int, pane: int = 0) -> str:
        """Zoom onto a pixel, move the mouse onto its middle and return the read-out under the image."""
        from selenium.webdriver import ActionChains

        x, y = self.run(
            f"const p = nbview.panes[{pane}], s = 20, x = {fast} + 0.5 - 100 / s, y = {slow} + 0.5 - 90 / s;"
            "p.view = {scale: s, x, y}; p.whole = false; const b = p.stage.getBoundingClientRect();"
            "return [b.left + 100, b.top + 90];"
        )
        actions = ActionChains(self.driver, duration=0)
        actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        actions.perform()
        return str(self.run(f"return nbview.panes[{pane}].readout.textContent"))

    def colour(self, x: int, y: int, pane: int = 0) -> list[int]:
        """Red, green and blue of a pixel of the canvas."""
        return list(self.run(f"return [...nbview.panes[{pane}].pen.getImageData({x}, {y}, 1, 1).data].slice(0, 3)"))

    def errors(self) -> list[str]:
        """What the browser complained about."""
        return [json.dumps(entry) for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    helper = shutil.which("chromedriver")
    if program is None or helper is None:
        pytest.skip("no chromium with chromedriver is installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(helper))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session", name="spots")
def spots_maker():  # type: ignore[no-untyped-def]
    """The function that makes images with spots."""
    return spots


@pytest.fixture(scope="session", name="header")
def header_maker():  # type: ignore[no-untyped-def]
    """The function that makes headers."""
    return header
