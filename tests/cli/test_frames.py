"""What the frames of a series are called, when and where they start."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nanobrag_torch.cli.frames import Plan, said_of
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.io.series import MASTER
from nanobrag_torch.settling.inputs import Inputs


def plan(words: str) -> Plan:
    return Plan(parse(words.split()), {})


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        ("-osc 0.5", [0.0, 0.5, 1.0]),
        ("-phi 3 -osc 0.1 -phisteps 7", [3.0, 3.1, 3.0 + 2 * 0.1]),
        ("-phistep 0.2", [0.0, 0.2, 0.4]),
        ("-phi -2 -phisteps 4", [-2.0, -1.0, 0.0]),
        ("-osc 1 -phistep 0.3", [0.0, 1.0, 2.0]),
    ],
)
def test_where_frames_start(words: str, starts: list[float]) -> None:
    given = plan(f"-frames 3 -cbf a.cbf {words}")
    assert [given.start(n) for n in (1, 2, 3)] == starts
    assert given.frame(3).sampling.phi_deg == starts[2]


def test_names() -> None:
    given = plan("-frames 12 -noisefile n.img -nexus d/out.nxs -cbf c_###.cbf -pgmfile x.pgm -nopgm")
    assert given.names(3) == {"nexus_file": "d/out_00003.nxs", "cbf_file": "c_003.cbf", "noise_file": "n_00003.img"}
    assert given.names(MASTER) == {"nexus_file": "d/out.nxs"}
    assert given.record == "d/out.series"
    assert list(given.everything()) == [*range(1, 13), MASTER]
    assert given.frame(3).output.cbf_file == "c_003.cbf"


def test_without_a_master() -> None:
    given = plan("-frames 2 -cbf c_###.cbf")
    assert given.names(MASTER) == {}
    assert list(given.everything()) == [1, 2]


def test_time_of_the_simulation() -> None:
    assert plan("-frames 9 -exposure 0.5 -cbf a").when(9) == datetime(2000, 1, 1, 0, 0, 4, tzinfo=UTC)
    assert plan("-frames 9 -cbf a").when(2) == datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_seeds_differ_from_frame_to_frame() -> None:
    given = plan("-frames 9 -seed 5 -cbf a")
    seeds = [given.frame(n).output.noise_seed for n in range(1, 10)]
    assert seeds[0] == 5
    assert len(set(seeds)) == 9


def test_what_a_command_says() -> None:
    def said(words: str) -> dict[str, str]:
        return said_of(parse(words.split()), Inputs())

    first = said("-cell 40 -frames 2 -cbf a -quiet -threads 2 -noprogress")
    assert first == said("-frames 2 -cbf a -cell 40 -memory 50")
    assert first != said("-frames 2 -cbf a -cell 41")
