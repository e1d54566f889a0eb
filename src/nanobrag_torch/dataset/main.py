"""`nb-dataset make|look|verify`: data sets from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanobrag_torch import __version__
from nanobrag_torch.engine import Where, queue_options
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.guard import guarded
from nanobrag_torch.program import OK, run_parsed

_TELL = """\
A description is a YAML or TOML file: a scene, what varies around it, and how many images. Image number n of a seed is
always the same, wherever it is made. `make` started again makes what is missing.

  nb-dataset make spots.yaml -o spots --workers 8
  nb-dataset make spots.yaml -o spots --slurm walltime=04:00:00,memory=4GB,jobs=50
  nb-dataset look spots
  nb-dataset verify spots --sample 20
"""


def parser() -> argparse.ArgumentParser:
    """The words of the command."""
    plain: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    made = argparse.ArgumentParser(
        prog="nb-dataset", description="Make, look at and verify sets of simulated images.", epilog=_TELL, **plain
    )
    made.add_argument("--version", action="version", version=f"nanobrag_torch {__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    make = commands.add_parser("make", help="make a data set, or what is missing of it", **plain)
    make.add_argument("description", metavar="DESCRIPTION", help="YAML file, or TOML by its suffix")
    make.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the data set")
    make.add_argument("--images", type=int, metavar="N", help="how many images, in place of what the description says")
    make.add_argument("--workers", type=int, default=0, metavar="K", help="processes here [0: in this one]")
    make.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler that runs already, tcp://host:8786")
    for queue in ("slurm", "pbs", "lsf"):
        text = f"workers are jobs of {queue.upper()}: walltime=01:00:00,memory=4GB,jobs=10"
        make.add_argument(f"--{queue}", metavar="OPTIONS", help=text)
    make.add_argument("--device", metavar="DEVICE", help="cpu, or cuda: a process for every card [cpu]")
    make.add_argument("--retries", type=int, default=10, metavar="N", help="lost workers that a shard may cost [10]")
    make.add_argument("--dashboard", type=int, metavar="PORT", help="show Dask's dashboard at this port")
    look = commands.add_parser("look", help="a page with a contact sheet and all distributions", **plain)
    look.add_argument("folder", metavar="DIR", help="the data set")
    look.add_argument("-o", "--output", metavar="PAGE", help="the page [DIR/look.html]")
    look.add_argument("--images", type=int, default=24, metavar="N", help="images on the sheet [24]")
    verify = commands.add_parser("verify", help="compare checksums, and make a sample of images again", **plain)
    verify.add_argument("folder", metavar="DIR", help="the data set")
    verify.add_argument("--sample", type=int, default=10, metavar="N", help="images to make again [10]")
    verify.add_argument("--inputs", metavar="FOLDER", help="where relative names of input files begin")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0, 9 when the input is refused, 130 after an interruption by the keyboard."""
    return guarded("nb-dataset", _run, argv)


def _run(words: list[str]) -> int:
    commands = {"make": _make, "look": _look, "verify": _verify}
    return run_parsed("nb-dataset", parser(), words, lambda given: commands[given.command](given))


def where_of(said: argparse.Namespace) -> Where:
    """The place that the words ask for.

    Raises:
        InputError: two places at once, or numbers that make no sense.
    """
    queues = [queue for queue in ("slurm", "pbs", "lsf") if getattr(said, queue) is not None]
    places = [f"--{queue}" for queue in queues] + (["--scheduler"] if said.scheduler else [])
    places += ["--workers"] if said.workers else []
    if len(places) > 1:
        raise InputError(places[1], f"{places[0]} is given too", "choose one of them")
    common = {"retries": said.retries, "dashboard": said.dashboard}
    if queues:
        return Where(queue=queues[0], options=queue_options(getattr(said, queues[0]), f"--{queues[0]}"), **common)
    cards = 0
    if said.device == "cuda" and not places:
        import torch

        cards = torch.cuda.device_count()
    return Where(workers=said.workers, scheduler=said.scheduler, cards=cards if cards > 1 else 0, **common)


def _make(said: argparse.Namespace) -> int:
    from nanobrag_torch.dataset.reading import read_population

    if said.images is not None and said.images < 1:
        raise InputError("--images", f"{said.images} is not a number of images", "give 1 or more")
    where = where_of(said)
    population = read_population(said.description, said.images)
    from nanobrag_torch.dataset.making import make

    manifest = make(population, Path(said.output), where=where, device=said.device, say=_say)
    _say(f"{said.output} is complete: {population.images} images, {sum(s['bytes'] for s in manifest['shards'])} bytes")
    return OK


def _look(said: argparse.Namespace) -> int:
    from nanobrag_torch.dataset.looking import write_look

    if said.images < 1:
        raise InputError("--images", f"{said.images} is not a number of images", "give 1 or more")
    page = Path(said.output) if said.output else Path(said.folder) / "look.html"
    write_look(Path(said.folder), page, said.images)
    _say(f"writing {page}")
    return OK


def _verify(said: argparse.Namespace) -> int:
    from nanobrag_torch.dataset.verifying import verify

    if said.sample < 0:
        raise InputError("--sample", f"{said.sample} is not a number of images", "give 0 or more")
    problems = verify(Path(said.folder), said.sample, said.inputs, _say)
    if problems:
        raise FileFormatError(said.folder, "", "; ".join(problems[:5]) + (" ..." if len(problems) > 5 else ""))
    _say(f"{said.folder} is as it was made")
    return OK


def _say(line: str) -> None:
    print(line, flush=True)
