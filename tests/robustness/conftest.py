"""Command lines in a fresh folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanobrag_torch.cli.main import main
from nanobrag_torch.hostile.targets import SCENE


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    status: int
    out: str
    err: str


class Runner:
    """Runs command lines of the small scene in one folder."""

    def __init__(self, folder: Path, capfd: Any) -> None:
        self.folder, self.capfd = folder, capfd

    def __call__(self, line: str, scene: bool = True) -> Ended:
        self.capfd.readouterr()
        status = main([*(SCENE if scene else ()), *line.split()])
        said = self.capfd.readouterr()
        assert "Traceback" not in said.err
        return Ended(status, said.out, said.err)

    def refused(self, line: str, scene: bool = True) -> str:
        """The one line of a refusal, which leaves every file as it is."""
        before = self.files()
        ended = self(line, scene)
        assert ended.status == 9, ended
        assert ended.err.startswith("nanobrag: ")
        assert ended.err.count("\n") == 1
        assert self.files() == before
        return ended.err

    def files(self) -> dict[str, bytes]:
        """The regular files of the folder."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.iterdir()) if path.is_file()}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Runner:
    """A runner in a fresh folder, which is the working directory."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Runner(folder, capfd)
