"""The parts of the trial, and their table in reports/robustness.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trial import inputs, kills, surroundings
from trial.kept import Results
from trial.processes import Told


@dataclass(frozen=True)
class Part:
    """A part of the trial.

    Attributes:
        title: what its row says.
        wanted: how many of them there should be.
        pieces: in which it is done.
        until: whether it is done when the number wanted is reached; otherwise all pieces are.
    """

    title: str
    wanted: int
    pieces: Callable[[], Iterator[inputs.Piece]]
    until: bool = False


def parts() -> dict[str, Part]:
    """All of them, those that take long last."""
    return {
        "signals": Part("signals while native code computes, children of nb-compare", 4, surroundings.signals),
        "disks": Part("full and closed outputs, little memory", 5, surroundings.disks),
        "together": Part("runs at once in one folder, renders after a fork", 4, surroundings.together),
        "startup": Part("start-up beside the commit before the guard", 1, inputs.startup),
        "faults": Part("faults made on purpose, which the sanitizers find", 3, inputs.faults),
        "golden": Part(
            "golden cases under address and undefined-behaviour sanitizers, double and single precision",
            inputs.golden_cases(),
            inputs.golden,
        ),
        "kills": Part(
            "runs and series ended by SIGKILL, SIGTERM, SIGHUP or SIGINT, and run again", kills.KILLS, kills.kills
        ),
        "bad": Part("bad command lines and damaged inputs, run to the end", 4700, inputs.bad),
        "fuzzed": Part("fuzzed inputs of the readers and the command line", inputs.FUZZED, inputs.fuzzed),
        "sanitized": Part("random scenes under the sanitizers", inputs.SCENES, inputs.scenes, until=True),
    }


HEAD = """\
# Robustness

Made by `make robustness` (scripts/robustness.py), which goes on where it was stopped; what each piece told is in
robustness.json. A finding is a traceback, a status 0 with an image that is negative or not finite, an input or older
output destroyed, a file that is half there, a refusal of more than one line, an unforeseen error, 5 s without progress,
or a report of a sanitizer. The last column stands for the content of the sources that were tried
(`scripts/robustness.py --sources`).

| trial | wanted | done | findings | slowest s | peak MB | sources |
|---|---:|---:|---:|---:|---:|---|
"""


def table(found: Results) -> str:
    """The page."""
    rows, findings = [], list[Told]()
    for name, part in parts().items():
        told = list(found.get(name, {}).values())
        findings += [finding for one in told for finding in one["findings"]]
        rows.append(_row(part, told))
    bad, fuzzed = found.get("bad", {}), found.get("fuzzed", {})
    statuses = sum((Counter(one.get("statuses", {})) for one in bad.values()), Counter[str]())
    text = ", ".join(f"{count:,} with status {status}" for status, count in sorted(statuses.items()))
    lines = [
        "",
        f"Of the bad inputs {text or 'none'} ended. Some bad values are good ones elsewhere (`-N 7`), hence status 0.",
        *_latencies(found),
        *_startup(found),
        f"Fuzz targets: {', '.join(sorted({name.partition('-')[0] for name in fuzzed}))}.",
    ]
    if findings:
        lines += ["", "## Findings", ""] + [f"- {json.dumps(finding)[:300]}" for finding in findings[:50]]
    return HEAD + "\n".join([*rows, *lines]) + "\n"


def _row(part: Part, told: list[Told]) -> str:
    slowest = max((one.get("slowest_s", 0.0) for one in told), default=0.0)
    peak = max((one.get("peak_MB", 0.0) for one in told), default=0.0)
    count, found = sum(one["count"] for one in told), sum(len(one["findings"]) for one in told)
    states = sorted({one["sources"] for one in told})
    shown = [f"{slowest:.2f}" if slowest else "", f"{peak:.0f}" if peak else "", " ".join(states)]
    return f"| {part.title} | {part.wanted:,} | {count:,} | {found} | {' | '.join(shown)} |"


def _latencies(found: Results) -> list[str]:
    """How soon signals end programs."""
    computing = [f"{one['late_s']:.2f} s" for name, one in sorted(found.get("signals", {}).items()) if "late_s" in one]
    lines = [f"After a signal while native code computes the program ends within {', '.join(computing)}."]
    kills_told = found.get("kills", {}).values()
    late = [one for one in kills_told if one["signal"] != "KILL" and one["status"] != 0]
    if late:
        longest = max(one["took_s"] - one["kept_waiting_s"] for one in late)
        lines += [
            f"Of {len(late)} runs that such a signal ended before their time the slowest took {longest:.2f} s for it.",
            "Neither counts the time in which other programs of the machine had the processor or the disk.",
        ]
    return lines if computing or late else []


def _startup(found: Results) -> list[str]:
    rows = [one["rows"] for one in found.get("startup", {}).values() if "rows" in one]
    costs = [f"{cost['more_ms']:+.0f} ms on {cost['before_ms']:.0f} ms ({name})" for name, cost in _pairs(rows)]
    return [f"Start-up, processor time beside the commit before the guard: {', '.join(costs)}."] if costs else []


def _pairs(rows: list[dict[str, dict[str, float]]]) -> Iterator[tuple[str, dict[str, float]]]:
    for row in rows:
        yield from row.items()
