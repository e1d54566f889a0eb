"""Draw docs/images/nb-view.png and nb-view-film.png: pages of nb-view in a headless Chromium.

Needs chromium, chromedriver and selenium.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service

from nanobrag_torch.cli.main import main as nanobrag
from nanobrag_torch.view.main import main as nb_view

ROOT = Path(__file__).resolve().parents[1]
WORDS = "-hkl P1.hkl -mat A.mat -lambda 1.0 -N 15 -distance 150 -detpixels 700 -pixel 0.25 -oversample 1"


SERIES = (
    "-expt sweep_01.expt -hkl amplitudes.mtz -mtz_column F -N 100 -round_xtal -mosaic_spread 0.08 -mosaic_domains 20 "
    "-phisteps 3 -oversample 1 -fluence 4.6e23 -water 0.5 -physics exact -frames 5 -nexus sweep.nxs -seed 1 -quiet"
)


def draw_film(driver: webdriver.Chrome, folder: Path) -> None:
    """The picture of a simulated series with reflections over it."""
    for file in (ROOT / "examples" / "l_cysteine").iterdir():
        shutil.copy(file, folder)
    nanobrag(SERIES.split())
    words = "sweep.nxs --frames 1:5 --film --expt sweep_01.expt --predict --refl sweep_01.refl -o film.html"
    nb_view(words.split())
    driver.get((folder / "film.html").as_uri())
    time.sleep(3)
    driver.execute_script(
        "for (let i = 0; i < 3; i++) document.dispatchEvent(new KeyboardEvent('keydown', {key: '.'}))"
    )
    driver.execute_script(
        "const h = document.getElementById('high'); h.value = 8; h.dispatchEvent(new Event('change'))"
    )
    time.sleep(1)
    driver.save_screenshot(str(ROOT / "docs" / "images" / "nb-view-film.png"))


def main() -> None:
    """Render, make the page, click on two spots and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("P1.hkl", "A.mat"):
            shutil.copy(ROOT / "examples" / name, folder)
        os.chdir(folder)
        nanobrag([*WORDS.split(), "-fluence", "1e26", "-water", "0.2", "-physics", "exact", "-seed", "1", "-quiet"])
        nb_view(["floatimage.bin", "noiseimage.img", "-o", "look.html", "--", *WORDS.split()])
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"):
            options.add_argument(word)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        driver.get((Path(folder) / "look.html").as_uri())
        time.sleep(2)
        driver.execute_script("for (const id of ['rings', 'beam']) document.getElementById(id).click()")
        for x, y in ((200, 300), (330, 180)):
            left, top = driver.execute_script(
                "const b = nbview.panes[0].stage.getBoundingClientRect(); return [b.left, b.top]"
            )
            actions = ActionChains(driver, duration=0)
            actions.w3c_actions.pointer_action.move_to_location(round(left + x), round(top + y))
            actions.w3c_actions.pointer_action.click()
            actions.perform()
        time.sleep(1)
        driver.save_screenshot(str(ROOT / "docs" / "images" / "nb-view.png"))
        draw_film(driver, Path(folder))
        driver.quit()


if __name__ == "__main__":
    main()
