"""A comparison as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import csv
import shlex
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nanobrag_torch.parity.pictures import profile_svg

_C, _PY, _DIFF = "#1b4f9c", "#d9822b", "#b2182b"
_LONGEST_LOG = 20_000

_STYLE = """
:root { --ink: #1c2430; --soft: #5d6b7c; --line: #d9dfe7; --paper: #fff; --back: #f4f6f9;
        --good: #1a7f4b; --bad: #b3261e; --c: #1b4f9c; --py: #d9822b; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 24px 64px; }
header { border-left: 6px solid var(--verdict); padding: 4px 0 4px 18px; margin-bottom: 20px; }
h1 { font-size: 26px; margin: 0; } h1 b { color: var(--verdict); }
h2 { font-size: 16px; margin: 0 0 12px; }
.soft { color: var(--soft); } .mono, code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px;
          margin-bottom: 18px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 18px; align-items: start; }
.columns > section { margin: 0; } .columns { margin-bottom: 18px; }
figure { margin: 0; } figure img { width: 100%; display: block; image-rendering: pixelated;
         border: 1px solid var(--line); background: #fff; }
figcaption { margin-top: 8px; font-size: 13px; color: var(--soft); } figcaption b { color: var(--ink); }
table { border-collapse: collapse; width: 100%; }
td, th { padding: 5px 8px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.b { width: 45%; } td.n { text-align: right;
       font-variant-numeric: tabular-nums; white-space: nowrap; }
th { font-weight: 600; font-size: 13px; color: var(--soft); } th.n { text-align: right; }
ul { margin: 0; padding-left: 20px; } li + li { margin-top: 4px; }
pre { background: var(--back); border-radius: 6px; padding: 10px 12px; overflow: auto; margin: 6px 0 0;
      font-size: 12.5px;
      max-height: 360px; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { width: 100%; max-width: 860px; height: auto; display: block; margin: 0 auto; }
svg text { font-size: 11px; fill: var(--soft); }
svg .grid { stroke: var(--line); } .key { display: inline-block; width: 22px; height: 3px; margin: 0 6px 4px 14px; }
.bar { height: 10px; border-radius: 3px; display: inline-block; vertical-align: middle; min-width: 2px; }
summary { cursor: pointer; } details + details { margin-top: 10px; }
.hash { font-size: 12px; overflow-wrap: anywhere; }
"""


def report_page(told: dict[str, Any], folder: Path) -> str:
    """The report of a comparison.

    Args:
        told: what summary.json holds.
        folder: where the pictures, the profile and the logs are.
    """
    good = told["exit_status"] == 0
    verdict = {"agree": "agree", "disagree": "do not agree"}.get(told["verdict"], told["verdict"])
    body = [
        f'<header style="--verdict: var(--{"good" if good else "bad"})"><h1>The images <b>{escape(verdict)}</b></h1>',
        f'<div class="soft">judged by {escape(told["criterion"])} &middot; {escape(told["date"])}</div>',
        f'<div class="mono">{escape(shlex.join(told["args"]))}</div></header>',
        _list_section("Why", told["reasons"]),
        _pictures(told, folder),
        '<div class="columns">',
        _figures(told["metrics"]),
        _times(told["times"]),
        "</div>",
        _profile(folder),
        _list_section("Work-arounds for known defects of the C program", told["c"]["workarounds"]),
        _list_section("What may still differ", told["c"]["doubts"]),
        _list_section("Notes", told["notes"]),
        _programs(told),
        _logs(folder),
        _files(told["files"]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>nb-compare: {escape(verdict)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _list_section(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<section><h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(x)}</li>' for x in lines)}</ul></section>"


def _inlined(path: Path, text: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'


def _pictures(told: dict[str, Any], folder: Path) -> str:
    m = told["metrics"]
    slow, fast = m["max_difference_at"]
    captions = {
        "c.png": (
            "The C program",
            "white is low, dark is high (by the square root); both images on one scale",
        ),
        "py.png": ("This program", "on the scale of the C image"),
        "difference.png": ("Ours less C", "no pixel differs"),
    }
    if m["max_difference"]:
        captions["difference.png"] = (
            "Ours less C",
            f"blue where ours is lower, red where it is higher, by the cube root; "
            f"the ends are ±{m['max_difference']:.3g}, largest at slow {slow}, fast {fast}",
        )
    figures = [
        f"<figure>{_inlined(folder / name, title)}<figcaption><b>{title}</b> &middot; {escape(text)}</figcaption>"
        "</figure>"
        for name, (title, text) in captions.items()
    ]
    return f'<section><div class="columns" style="margin:0">{"".join(figures)}</div></section>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th{' class=n' if i else ''}>{escape(x)}</th>" for i, x in enumerate(head))
    lines = [
        "<tr>" + "".join(f"<td{' class=n' if i else ''}>{x}</td>" for i, x in enumerate(row)) + "</tr>" for row in rows
    ]
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _figures(m: dict[str, Any]) -> str:
    peaks = m["peaks"]
    distances = "none" if not peaks["matched"] else f"{peaks['mean_distance']:.3g} / {peaks['max_distance']:.3g} px"
    c, py = m["max_difference_values"]
    there = [("there, C and ours", f"{c:.9g}<br>{py:.9g}")] if m["max_difference"] else []
    rows = [
        ("correlation", f"{m['correlation']:.12g}"),
        ("relative L2", f"{m['relative_l2']:.4g}"),
        ("RMSE", f"{m['rmse']:.6g}"),
        ("largest difference", f"{m['max_difference']:.6g}"),
        *there,
        ("sum, C", f"{m['c_sum']:.10g}"),
        ("sum, ours", f"{m['py_sum']:.10g}"),
        ("ratio of sums", f"{m['sum_ratio']:.12g}"),
        ("equal pixels", f"{m['equal_pixels']} of {m['pixels']}"),
        ("structural similarity", f"{m['ssim']:.9g}"),
        ("strongest peaks matched", f"{peaks['matched']} of {peaks['c_count']}"),
        ("their distance, mean / largest", distances),
    ]
    return f"<section><h2>Figures</h2>{_table(('', ''), rows)}</section>"


def _times(times: dict[str, Any]) -> str:
    sides = (("C", "c", _C), ("ours", "py", _PY))
    longest = max(
        (times[key][name]["median"] for _, key, _ in sides for name in times[key] if name.endswith("_s")),
        default=1.0,
    )
    rows = []
    for name, title in (
        ("render_s", "render"),
        ("startup_s", "start-up, files"),
        ("wall_s", "whole process"),
    ):
        for side, key, colour in sides:
            if name in times[key]:
                value = times[key][name]["median"]
                width = 100 * value / (longest or 1.0)
                bar = f'<span class="bar" style="width:{width:.1f}%;background:{colour}"></span>'
                rows.append(
                    f'<tr><td>{title}, {side}</td><td class="b">{bar}</td><td class="n">{value:.4g} s</td></tr>'
                )
    ratios = "".join(
        f"<li>{escape(name)}: C takes {value:.3g} times as long</li>" for name, value in times["ratio"].items()
    )
    repeats = len(times["c"].get("wall_s", {}).get("all", [1]))
    threads = ", ".join(f"{side} {times[key]['threads']}" for side, key, _ in sides if times[key].get("threads"))
    lines = "".join(rows)
    note = f"medians of {repeats}" if repeats > 1 else "one run of each"
    return (
        f"<section><h2>Times</h2><table><tbody>{lines}</tbody></table><ul>{ratios}</ul>"
        f'<p class="soft">{note}; threads: {escape(threads) or "not known"}. '
        "Start-up of C is a run of one pixel.</p></section>"
    )


def _profile(folder: Path) -> str:
    with open(folder / "radial_profile.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) if row[name] else None for row in rows] for name in rows[0]}
    curves = {
        "C": (columns["c"], _C),
        "ours": (columns["py"], _PY),
        "|difference|": (columns["abs_difference"], _DIFF),
    }
    keys = "".join(
        f'<span class="key" style="background:{colour}"></span>{escape(name)}' for name, (_, colour) in curves.items()
    )
    svg = profile_svg(columns["radius"], curves)
    return f'<section><h2>Means over rings around the beam <span class="soft">{keys}</span></h2>{svg}</section>'


def _programs(told: dict[str, Any]) -> str:
    c, py = told["c"], told["py"]
    kind = "this project's C reference" if c["is_reference"] else "another C program"
    versions = " &middot; ".join(
        f"{escape(name)} {escape(str(py[name]))}"
        for name in ("nanobrag_torch", "torch", "numpy", "python")
        if name in py
    )
    return (
        f"<section><h2>Programs</h2><p><b>{escape(c['version'])}</b> <span class=soft>({kind})</span><br>"
        f'<span class="hash mono soft">sha256 {c["sha256"]}</span></p><pre>{escape(shlex.join(c["command"]))}</pre>'
        f"<p><b>{versions or 'our side'}</b></p><pre>{escape(shlex.join(py['command']))}</pre></section>"
    )


def _logs(folder: Path) -> str:
    parts = []
    for name in ("c.stdout", "c.stderr", "py.stdout", "py.stderr"):
        text = (folder / name).read_text(errors="replace").strip() if (folder / name).exists() else ""
        if text:
            shown = text if len(text) <= _LONGEST_LOG else text[:_LONGEST_LOG] + "\n... (the rest is in the file)"
            parts.append(f"<details><summary>{name}</summary><pre>{escape(shown)}</pre></details>")
    return f"<section><h2>What they said</h2>{''.join(parts)}</section>"


def _files(files: dict[str, str]) -> str:
    rows = [(escape(name), f'<span class="hash mono">{digest}</span>') for name, digest in files.items()]
    table = _table(("file", "sha256"), rows)
    return f"<section><details><summary>Files and checksums</summary>{table}</details></section>"
