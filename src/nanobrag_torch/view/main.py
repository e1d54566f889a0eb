"""`nb-view FILE...`: images become one HTML page to look at."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nanobrag_torch import __version__
from nanobrag_torch.errors import InputError
from nanobrag_torch.guard import guarded
from nanobrag_torch.io.registry import FileRegistry
from nanobrag_torch.io.scene import Scene
from nanobrag_torch.program import OK, run_parsed

if TYPE_CHECKING:
    from nanobrag_torch.view.pictures import Picture
    from nanobrag_torch.view.readers import Hints

_TELL = """\
The format is recognized by the content: float image, SMV, PGM, miniCBF, NeXus. A float image needs the SMV file that
was written beside it (found by its name: same stem, or intimage.img), --header, --size, or the command line that made
it.

What follows -- is a command line of nanobrag: its geometry and crystal are used for every file, and Miller
indices appear. --expt does the same with an experiment list of DIALS.

--refl draws the reflections of a DIALS table, --predict those that the experiment of --expt predicts. A reflection is
shown on the images that it touches; a file of one image is image number --frame, the next file the next image.

  nb-view floatimage.bin
  nb-view a.img b.img --difference -o both.html
  nb-view sweep.nxs --frames 1:15 --film --expt sweep.expt --predict --refl strong.refl
  nb-view floatimage.bin -- -hkl P1.hkl -mat A.mat -lambda 1 -N 20 -distance 200
"""


def parser() -> argparse.ArgumentParser:
    """The words of the command."""
    made = argparse.ArgumentParser(
        prog="nb-view",
        description="Write one self-contained HTML page with contrast, zoom and a pixel read-out of intensity, "
        "resolution and Miller indices. It needs no network.",
        epilog=_TELL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("files", nargs="+", metavar="FILE", help="images, shown side by side")
    made.add_argument("-o", "--output", metavar="PAGE", help="the page; the first file's name and .html by default")
    made.add_argument("--open", action="store_true", help="show the page in the web browser")
    made.add_argument("--size", nargs=2, type=int, metavar=("FAST", "SLOW"), help="pixels of float images")
    made.add_argument("--header", metavar="SMV", help="SMV file whose header describes the float images")
    made.add_argument("--expt", metavar="EXPT", help="experiment list of DIALS with geometry and crystal")
    made.add_argument("--frame", type=int, default=1, metavar="K", help="which image of a series, from 1 [1]")
    made.add_argument("--frames", metavar="A:B", help="the images A to B of a series, both included")
    made.add_argument("--film", action="store_true", help="show the images one after the other instead of side by side")
    made.add_argument("--difference", action="store_true", help="of two files, also show the first minus the second")
    made.add_argument("--refl", metavar="REFL", help="reflection table of DIALS to draw over the images")
    made.add_argument("--predict", action="store_true", help="draw the reflections that the experiment predicts")
    made.add_argument("--all-reflections", action="store_true", help="draw them on every image, not only on their own")
    made.add_argument("--external-files", action="store_true", help="let a NeXus file lead to files outside its folder")
    made.add_argument("--title", default="", help="title of the page")
    made.add_argument("--version", action="version", version=f"nanobrag_torch {__version__}")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 9 when the input is refused, or what `guard` returns."""
    return guarded("nb-view", _run, argv)


def _run(words: list[str]) -> int:
    scene_words: list[str] | None = None
    if "--" in words:
        place = words.index("--")
        words, scene_words = words[:place], words[place + 1 :]
    return run_parsed("nb-view", parser(), words, lambda given: _show(given, scene_words))


def _show(given: argparse.Namespace, scene_words: list[str] | None) -> int:
    name = _write(given, scene_words)
    print(f"writing {name}", flush=True)
    if given.open:
        import webbrowser

        webbrowser.open(Path(name).resolve().as_uri())
    return OK


def _write(said: argparse.Namespace, scene_words: list[str] | None) -> str:
    """Read the files and write the page; its name."""
    from nanobrag_torch.view.page import write_page
    from nanobrag_torch.view.readers import Hints
    from nanobrag_torch.view.reflections import layers_of, with_reflections

    name = said.output or f"{Path(said.files[0]).stem}.html"
    _register(said, scene_words, name)
    size = None if said.size is None else (said.size[0], said.size[1])
    if size is not None and min(size) < 1:
        raise InputError("--size", f"{size[0]} x {size[1]} pixels", "give two positive numbers")
    hints = Hints(size, said.header, _scene(said.expt, scene_words), said.frame, said.external_files)
    pictures = _pictures(said, hints)
    layers = layers_of(said.refl, said.expt, said.predict)
    if layers:
        pictures = with_reflections(pictures, layers, said.all_reflections)
    elif said.all_reflections:
        raise InputError("--all-reflections", "there are no reflections", "add --refl FILE or --predict")
    write_page(name, pictures, said.title, film=said.film)
    return str(name)


def _register(said: argparse.Namespace, scene_words: list[str] | None, name: str) -> None:
    """Refuse a page that would overwrite what is read."""
    known = FileRegistry()
    for file in said.files:
        known.reads(file, "an image")
    for file, flag in ((said.header, "--header"), (said.expt, "--expt"), (said.refl, "--refl")):
        if file is not None:
            known.reads(file, flag)
    for file in scene_words or ():
        if os.path.isfile(file):
            known.reads(file, "the command line behind --")
    known.writes(name, "--output")


def _pictures(said: argparse.Namespace, hints: Hints) -> list[Picture]:
    """Every image of every file, numbered, and the difference if it is wanted."""
    from nanobrag_torch.view.difference import differences
    from nanobrag_torch.view.readers import read_pictures

    if said.difference and (len(said.files) != 2 or said.film or said.frames):
        raise InputError("--difference", "it needs two files, and no film", "give two images")
    numbers = [said.frame] if said.frames is None else _numbers(said.frames)
    groups = []
    for place, file in enumerate(said.files):
        for number in numbers:
            found = read_pictures(file, replace(hints, frame=number))
            if said.frames is not None and found[0].frame is None:
                raise InputError("--frames", f"{file} holds one image", "name the files of a series one by one")
            groups.append([replace(p, frame=said.frame + place) if p.frame is None else p for p in found])
    if said.difference:
        groups.append(differences(*groups))
    return [picture for group in groups for picture in group]


def _numbers(words: str) -> list[int]:
    first, colon, last = words.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise InputError("--frames", f"{words!r} is no range of images", "give A:B, counted from 1")
    return list(range(int(first), int(last) + 1))


def _scene(expt: str | None, words: list[str] | None) -> Scene | None:
    """The scene of an experiment list, or of a command line of nanobrag."""
    if expt is not None and words is not None:
        raise InputError("--expt", "a command line is given too", "give one of them")
    if expt is not None:
        from nanobrag_torch.io.expt import read_expt

        return read_expt(expt)
    if words is None:
        return None
    return scene_of_words(words)


def scene_of_words(words: Sequence[str]) -> Scene:
    """The scene that a command line of nanobrag describes; nothing is rendered.

    Raises:
        InputError: the words are refused, ask for help or the version, or leave the orientation to chance.
    """
    import warnings

    from nanobrag_torch.cli.parse import parse_line
    from nanobrag_torch.errors import NanobragWarning
    from nanobrag_torch.pipeline.describe import describe
    from nanobrag_torch.settling import settle

    parsed = parse_line(list(words))
    if parsed.action != "run":
        raise InputError("--", "the command line asks for help or the version", "give the one that made the image")
    config = parsed.config
    if config.crystal.misset_random and config.crystal.misset_seed is None and config.output.noise_seed is None:
        raise InputError("--", "a random misset without a seed", "add -misset_seed and the number that was used")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return describe(settle(config, physics=config.output.physics))
