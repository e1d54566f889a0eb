"""Files that many scenes name, read once: what `settle` needs of them, by name and time of the last change."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

from nanobrag_torch.config import Config
from nanobrag_torch.settling.inputs import Inputs, read_inputs

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
    """Everything that `read_inputs` looks at."""
    crystal, detector = config.crystal, config.detector
    names = (
        crystal.matrix_file,
        crystal.hkl_file,
        crystal.dump_file,
        crystal.model_file,
        config.beam.source_file,
        config.beam.spectrum_file,
        config.sampling.mask_file,
        config.output.header_file,
    )
    default_F: Any = crystal.default_F
    return (
        *((name, _stamp(name)) for name in names),
        crystal.use_dump,
        crystal.mtz_column,
        id(crystal.structure_factors),
        float(default_F.detach()) if hasattr(default_F, "detach") else default_F,
        detector.pixels_f,
        detector.pixels_s,
    )


def _stamp(name: str | None) -> tuple[int, int] | None:
    """Size and time of a file's last change; `None` if there is no such file, which the reader will say."""
    if name is None:
        return None
    try:
        status = os.stat(name)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
