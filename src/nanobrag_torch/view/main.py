"""`nb-view FILE...`: images become one HTML page to look at."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from nanobrag_torch import __version__
from nanobrag_torch.errors import InputError, NanobragError
from nanobrag_torch.guard import complain, guarded
from nanobrag_torch.io.registry import FileRegistry
from nanobrag_torch.io.scene import Scene

OK, REFUSED = 0, 9
_TELL = """\
The format is seen from the content: float image, SMV, PGM, miniCBF, NeXus. A float image needs the SMV file that was
written beside it (found by its name: same stem, or intimage.img), --header, --size, or the command line that made it.

What stands behind -- is a command line of nanobrag: its geometry and crystal are used for every file, and Miller
indices appear. --expt does the same with an experiment list of DIALS.

  nb-view floatimage.bin
  nb-view a.img b.img -o both.html
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
    try:
        said = parser().parse_args(words)
    except SystemExit as leaving:
        return REFUSED if leaving.code else OK
    try:
        name = _write(said, scene_words)
    except NanobragError as error:
        complain("nb-view", " ".join(str(error).split()))
        return REFUSED
    print(f"writing {name}", flush=True)
    if said.open:
        import webbrowser

        webbrowser.open(Path(name).resolve().as_uri())
    return OK


def _write(said: argparse.Namespace, scene_words: list[str] | None) -> str:
    """Read the files and write the page; its name."""
    from nanobrag_torch.view.page import write_page
    from nanobrag_torch.view.readers import Hints, read_pictures

    name = said.output or f"{Path(said.files[0]).stem}.html"
    known = FileRegistry()
    for file in said.files:
        known.reads(file, "an image")
    for file, flag in ((said.header, "--header"), (said.expt, "--expt")):
        if file is not None:
            known.reads(file, flag)
    for file in scene_words or ():
        if os.path.isfile(file):
            known.reads(file, "the command line behind --")
    known.writes(name, "--output")
    size = None if said.size is None else (said.size[0], said.size[1])
    if size is not None and min(size) < 1:
        raise InputError("--size", f"{size[0]} x {size[1]} pixels", "give two positive numbers")
    hints = Hints(size, said.header, _scene(said.expt, scene_words), said.frame, said.external_files)
    write_page(name, [picture for file in said.files for picture in read_pictures(file, hints)], said.title)
    return str(name)


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
