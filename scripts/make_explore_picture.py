"""Draw docs/images/explore.png: `experiment.explore()` in a notebook, in a headless Chromium.

Needs voila, selenium, chromium and chromedriver.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = """
from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, settle
crystal = CrystalConfig(hkl_file="P1.hkl", matrix_file="A.mat", Na=12, Nb=12, Nc=12)
detector = DetectorConfig(distance_mm=150.0, pixels_f=512, pixels_s=512, pixel_mm=0.3)
settle(Config(crystal=crystal, beam=BeamConfig(wavelength_A=1.0, fluence=1e24), detector=detector)).explore()
"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the notebook, run by this Python as long as the context lasts; `folder` is filled."""
    import voila

    for name in ("P1.hkl", "A.mat"):
        shutil.copy(ROOT / "examples" / name, folder)
    cell = {"cell_type": "code", "source": NOTEBOOK, "metadata": {}, "outputs": [], "execution_count": None, "id": "a"}
    kernel = {"kernelspec": {"name": "here", "display_name": "here"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "explore.ipynb").write_text(json.dumps(notebook))
    place = folder / "jupyter" / "kernels" / "here"
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["explore.ipynb", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    share = Path(voila.__file__).parents[4] / "share" / "jupyter"
    paths = {"JUPYTER_PATH": f"{folder / 'jupyter'}{os.pathsep}{share}", "HOME": str(folder)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "voila", *words], cwd=folder, env=os.environ | paths, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(20)


def patiently(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true value of a function that may fail until the page is ready.

    Raises:
        TimeoutError: there is none in time.
    """
    from selenium.common.exceptions import WebDriverException

    end, failure = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except WebDriverException as error:  # the server or the page is not ready
            failure = str(error)
        time.sleep(0.1)
    raise TimeoutError(failure)


def follow(driver: Any, address: str) -> tuple[str, str, str]:
    """Open the notebook and move a slider: the image (a data address) before and after, and the line below."""
    from selenium.webdriver.common.keys import Keys

    def picture() -> str:
        script = "const i = document.querySelector('img.widget-image'); return i && i.naturalWidth == 512 ? i.src : ''"
        return str(driver.execute_script(script))

    def opened() -> Any:
        driver.get(address)
        return patiently(lambda: driver.find_elements("css selector", ".noUi-handle"), 20.0)

    def handles() -> Any:
        try:
            return opened()
        except TimeoutError:
            return []

    found = patiently(handles, 120.0)
    before = patiently(picture)
    for _ in range(5):
        found[0].send_keys(Keys.ARROW_RIGHT)
    after = patiently(lambda: picture() if picture() not in ("", before) else "")
    labels = [e.text for e in driver.find_elements("css selector", ".widget-label")]
    return before, after, next((text for text in labels if "photons" in text), "")


def main() -> None:
    """Serve the notebook, move a slider and take the picture."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1120,680"):
        options.add_argument(word)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as address:
        follow(driver, address)
        driver.save_screenshot(str(ROOT / "docs" / "images" / "explore.png"))
    driver.quit()


if __name__ == "__main__":
    main()
