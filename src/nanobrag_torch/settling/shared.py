"""Files that many scenes name, read once: what `settle` needs of them, by name and time of the last change."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, cast

from nanobrag_torch.config import Config
from nanobrag_torch.settling.inputs import Inputs, dump_file, read_inputs

FILE_FIELDS = ("_file", ".mtz_column", ".table", ".sample_form")
"""Ends of the names of fields whose text `read_inputs` uses."""
MOST_KEPT = 64
"""Sets of files that are kept; the one that was not asked for the longest goes first."""


class SharedInputs:
    """Reads the files of configurations, and gives the same content to all that name the same files.

        shared = SharedInputs()
        for config in variants:
            experiment = settle(config, inputs=shared(config))

    The content is never changed by `settle`, so any number of scenes may hold it.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Inputs] = OrderedDict()
        self._most = most
        self.reads = 0
        """How often files were really read."""

    def __call__(self, config: Config) -> Inputs:
        """The content of every file that a configuration names; raises as `read_inputs`."""
        key = _key(config)
        if key not in self._kept:
            self._kept[key] = read_inputs(config)
            self.reads += 1
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _key(config: Config) -> tuple[Any, ...]:
    """Everything that `read_inputs` looks at: names of files, arrays by what they are, a few numbers."""
    crystal, default_F = config.crystal, cast(Any, config.crystal.default_F)
    parts = (crystal, config.beam, config.sampling, config.background, config.path)
    return (
        *_named(parts),
        *_named(config.output.header_file, "header_file"),
        crystal.use_dump and (dump_file(crystal), _stamp(dump_file(crystal))),
        float(default_F.detach()) if hasattr(default_F, "detach") else default_F,
        config.detector.pixels_f,
        config.detector.pixels_s,
    )


def _named(value: Any, name: str = "") -> Iterator[tuple[Any, ...]]:
    """Names of files with their time stamps, and the identities of tables and arrays, by their fields."""
    if isinstance(value, str):
        if name.endswith(FILE_FIELDS):
            yield name, value, _stamp(value)
    elif is_dataclass(value):
        for field, inner in vars(value).items():
            yield from _named(inner, f"{name}.{field}")
    elif isinstance(value, tuple):
        for place, part in enumerate(value):
            yield from _named(part, f"{name}[{place}]")
    elif len(getattr(value, "shape", ())):
        yield name, id(value)


def _stamp(name: str) -> tuple[int, int] | None:
    """Size and time of a file's last change; `None` if there is no such file, which the reader will say."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
