"""The trial of robustness keeps what it has done, and its table says what that was."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def trial() -> Iterator[Any]:
    """The modules of scripts/trial."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        from trial import inputs, kept, kills, processes, surroundings, table

        yield {
            module.__name__.rpartition(".")[2]: module
            for module in (inputs, kept, kills, processes, surroundings, table)
        }
    finally:
        sys.path.pop(0)


def told(count: int, **more: Any) -> dict[str, Any]:
    return {"count": count, "findings": [], **more}


def test_a_trial_goes_on_where_it_was(trial: Any, tmp_path: Path) -> None:
    """Pieces that are done, in the working folder or in the repository, are not done again."""
    kept, results, work = trial["kept"], tmp_path / "r.json", tmp_path / "work"
    tried = []

    def piece(name: str) -> Any:
        return lambda: tried.append(name) or told(4)

    pieces = [(name, piece(name)) for name in ("a b", "c", "d")]
    kept.try_pieces("bad", pieces[:1], None, results, work)
    kept.merged(kept.read(results, work), results)
    for place in work.iterdir():
        place.unlink()
    kept.try_pieces("bad", pieces, 8, results, work)
    assert tried == ["a b", "c"]  # four and four are enough
    kept.try_pieces("bad", pieces, None, results, work)
    assert tried == ["a b", "c", "d"]
    found = kept.read(results, work)
    assert {name: one["count"] for name, one in found["bad"].items()} == {"a b": 4, "c": 4, "d": 4}
    assert {one["sources"] for one in found["bad"].values()} == {kept.sources()}


def test_a_part_that_is_tried_again_leaves_the_others(trial: Any, tmp_path: Path) -> None:
    kept, results, work = trial["kept"], tmp_path / "r.json", tmp_path / "work"
    kept.merged({"bad": {"1": told(3)}, "kills": {"1": told(1), "2": told(1)}}, results)
    kept.forget(["kills"], results, work)
    kept.try_pieces("kills", [("1", lambda: told(7, seconds=9.0))], None, results, work)
    kept.merged(kept.read(results, work), results)
    assert json.loads(results.read_text())["bad"] == {"1": told(3)}
    assert json.loads(results.read_text())["kills"] == {"1": told(7, sources=kept.sources())}
    kept.forget([], results, work)
    assert kept.read(results, work) == {}


def test_the_digits_of_the_sources_are_those_of_their_content(trial: Any, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = trial["kept"].sources(tmp_path)
    (tmp_path / "b.so").write_text("built")
    assert trial["kept"].sources(tmp_path) == first
    (tmp_path / "a.py").write_text("2")
    assert trial["kept"].sources(tmp_path) != first


def test_the_table_counts_what_was_done_and_shows_what_was_found(trial: Any) -> None:
    found = {
        "bad": {
            "0": told(1000, statuses={"0": 10, "9": 990}, slowest_s=1.25, peak_MB=200.4, sources="aa"),
            "1": told(500, statuses={"9": 500}, slowest_s=2.5, peak_MB=100.0, sources="bb"),
        },
        "kills": {
            "0": {
                **told(1, signal="TERM", status=143, took_s=0.75, kept_waiting_s=0.25, sources="aa"),
                "findings": [{"problem": "out.cbf is half"}],
            }
        },
    }
    page = trial["table"].table(found)
    assert "| bad command lines and damaged inputs, run to the end | 4,700 | 1,500 | 0 | 2.50 | 200 | aa bb |" in page
    assert "| 50 | 1 | 1 |  |  | aa |" in page
    assert "Of the bad inputs 10 with status 0, 1,490 with status 9 ended." in page
    assert "Of 1 runs that such a signal ended before their time the slowest took 0.50 s" in page
    assert '- {"problem": "out.cbf is half"}' in page


def test_every_part_has_the_pieces_that_are_wanted(trial: Any) -> None:
    parts = trial["table"].parts()
    names = {part: [name for name, _ in parts[part].pieces()] for part in parts if part != "bad"}
    assert all(len(set(found)) == len(found) > 0 for found in names.values())
    for part in ("signals", "disks", "together", "kills"):
        assert len(names[part]) == parts[part].wanted
    sizes = [int(work.args[-1]) for _, work in parts["fuzzed"].pieces()]
    assert sum(sizes) >= parts["fuzzed"].wanted
    assert parts["golden"].wanted >= 189


def test_a_file_that_is_half_there_is_seen(trial: Any) -> None:
    kills, wanted = trial["kills"], {"floatimage.bin": b"1234", "out_1.cbf": b"56"}
    assert kills.half({"floatimage.bin": b"12"}, wanted, True) == ["floatimage.bin"]
    assert kills.half({"out_1.cbf": b"5", "mine.txt": b"mine"}, wanted, True) == ["out_1.cbf"]
    assert kills.half({"floatimage.bin": b"1234", "out_1.cbf": b"5"}, wanted, False) == []
    again = {"status": 0, "err": ""}
    assert kills.after(again, {**wanted, "mine.txt": b"mine"}, wanted, True) == []
    left = {**wanted, "mine.txt": b"mine", "x.part": b""}
    assert kills.after(again, left, wanted, True) == ["the run after it left ['x.part']"]


def test_how_a_worker_ended_can_be_a_finding(trial: Any) -> None:
    command = [sys.executable, "-c", 'print(\'{"number": 3, "problem": "slow"}\'); raise SystemExit(\'lost\')']
    done = trial["processes"].in_a_worker(command, "hkl 1")
    assert done["count"] == 0
    assert done["findings"] == [{"number": 3, "problem": "slow"}, {"problem": "hkl 1: ended with 1: lost"}]
