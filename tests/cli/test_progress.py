"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from nanobrag_torch.cli.progress import progress_meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_of_the_c_program() -> None:
    stream = io.StringIO()
    meter = progress_meter(1000, stream)
    for _ in range(1000):
        meter(1)
    expected = [*range(0, 10), *range(10, 90, 5), *range(90, 101)]
    assert stream.getvalue() == "".join(f"{n}% done\n" for n in expected)


def test_lines_of_one_large_step() -> None:
    stream = io.StringIO()
    progress_meter(10, stream)(10)
    assert stream.getvalue().endswith("100% done\n")


def test_bar_on_a_terminal() -> None:
    stream = Terminal()
    meter = progress_meter(4, stream)
    for _ in range(4):
        meter(1)
    shown = stream.getvalue().split("\r")[1:]
    assert [part.rsplit("]")[1].split()[0] for part in shown] == ["25%", "50%", "75%", "100%"]
    assert shown[-1].endswith("\n")
    assert shown[1].startswith("[" + "#" * 20 + " " * 20 + "]")


def test_same_percentage_is_drawn_once() -> None:
    stream = Terminal()
    meter = progress_meter(100_000, stream)
    for _ in range(900):
        meter(1)
    assert stream.getvalue().count("\r") == 1


def test_nothing_to_do() -> None:
    stream = Terminal()
    progress_meter(0, stream)(0)
    assert stream.getvalue().count("\r") == 1


def test_bar_tells_rate_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 3700.0, 7402.0])
    monkeypatch.setattr("nanobrag_torch.cli.progress.time.monotonic", lambda: next(clock))
    stream = Terminal()
    meter = progress_meter(4_000_000, stream)
    meter(1_000_000)
    meter(1_000_000)
    meter(2_000_000)
    shown = [part.rsplit("%")[1].strip() for part in stream.getvalue().split("\r")[1:]]
    assert shown == ["500 kpixel/s, 0:06 left", "541 pixel/s, 1:01:40 left", "540 pixel/s"]
