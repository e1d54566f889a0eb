"""How an image was made, as its file records it: command, versions, and the scene that reproduces it."""

from __future__ import annotations

import os
import shlex

from nanobrag_torch.config import Config
from nanobrag_torch.config.output import WITHOUT_EFFECT
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.scene_toml import MADE, scene_text

WRITTEN_BY_A_RUN = (
    "float_file",
    "int_file",
    "pgm_file",
    "noise_file",
    "png_file",
    "cbf_file",
    "nexus_file",
)
"""Fields without a place in an image: what its run wrote beside it."""
UNSAVED = ("save_scene_file", "scene_file", "header_file", "experiment_file", "command")
"""Fields without a place in a scene: files whose content the other fields hold, and the command."""
_PACKAGES = ("torch", "numpy", "gemmi")


def made_of(config: Config) -> dict[str, str]:
    """The versions of what computes, and the command if there was one."""
    import platform  # with what it imports in turn, only for those who write

    versions = {"program": f"nanobrag_torch {_version('nanobrag_torch')}", "python": platform.python_version()}
    versions |= {name: _version(name) for name in _PACKAGES}
    return versions | ({"command": shlex.join(["nanobrag", *config.output.command])} if config.output.command else {})


def carried(config: Config, path: str) -> str:
    """What the file `path` of an image says of it, in TOML; of a scene that only Python holds, the reason."""
    left_out = (*WRITTEN_BY_A_RUN, *WITHOUT_EFFECT, *UNSAVED)
    try:
        return scene_text(config, os.path.dirname(path), made_of(config), left_out)
    except InputError as error:
        return f"[{MADE}]\nincomplete = '{error.field} was made in Python'\n"


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
