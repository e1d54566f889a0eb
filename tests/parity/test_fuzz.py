from __future__ import annotations

import pytest

from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.cli.parse import parse_line
from nanobrag_torch.parity.fuzz import random_line
from nanobrag_torch.parity.words import uses

LINES = 400
EXEMPT = {
    "-png",
    "-printout",
    "-printout_pixel",
    "-physics",
    "-device",
    "-dtype",
    "-threads",
    "-memory",
    "-quiet",
    "-version",
    "-help",
    "-model",
    "-model_dmin",
    "-mtz_column",
    "-cbf",
    "-nexus",
    "-expt",
    "-frames",
    "-batch",
    "-spectrum",
}
"""Output of another kind, and what only this program has."""


@pytest.fixture(scope="module")
def lines():
    return [random_line(5, i) for i in range(LINES)]


def test_a_line_depends_on_its_numbers_only():
    assert random_line(3, 7) == random_line(3, 7)
    assert random_line(3, 7) != random_line(3, 8)
    assert random_line(3, 7) != random_line(4, 7)


def test_every_flag_is_reached(lines):
    seen = {use.name for line in lines for use in uses(line.args)}
    classic = {flag.name for flag in FLAGS} - EXEMPT
    known = {name for name in classic if not _ours_alone(name)}
    assert known - seen == set()


def _ours_alone(name: str) -> bool:
    """Extensions that the C reference does not have either."""
    flag = next(flag for flag in FLAGS if flag.name == name)
    return flag.extension and name not in ("-source_weights", "-pix0_override_mm")


def test_every_word_is_a_flag_or_a_value(lines):
    for line in lines:
        assert all(use.flag is not None for use in uses(line.args)), line.args


def test_lines_can_be_parsed_where_their_files_are(lines, tmp_path, monkeypatch):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    for line in lines[:100]:
        for name, content in line.files.items():
            (tmp_path / "inputs" / name).write_bytes(content)
        parse_line(line.args)
