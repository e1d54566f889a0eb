"""Usage, help and the documentation page of the command line, made from the flag table."""

from __future__ import annotations

import textwrap

from nanobrag_torch.cli.flags import GROUPS, NEVER_EXISTED, Flag
from nanobrag_torch.errors import InputError

WIDTH = 100
_INDENT = " " * 8
NEIGHBOURS = 3
"""Flags shown on either side of the one that is asked about."""

INTRODUCTION = (
    "Simulates the diffraction of a nanocrystal on an absolute scale, pixel by pixel. It takes the command lines of "
    "nanoBragg and writes the same files."
)
RULES = (
    "Flags take one or two dashes. A spelling that ends in * may be continued at will; all others are exact. "
    "A later flag overrides an earlier one; headers read with -mask and -img come first, wherever they stand. "
    "Each flag is listed with its unit, its [default] and an example; + marks what nanoBragg does not have."
)


def usage() -> str:
    """The few lines shown when the crystal or its structure factors are missing."""
    return "\n".join(
        [
            "usage: nanobrag (-cell ... | -mat FILE) (-hkl FILE | -default_F F) [flags]",
            "       nanobrag (-model FILE | -hkl FILE.mtz) [-cell ... | -mat FILE] [flags]",
            "",
            "  nanobrag -model model.pdb -lambda 1 -N 20 -distance 200 -detpixels 1024",
            "  nanobrag -hkl P1.hkl -mat A.mat -lambda 1 -N 20 -distance 200 -detpixels 1024",
            "  nanobrag -cell 100 100 100 90 90 90 -default_F 100 -N 10 -lambda 1 -distance 100",
            "  nanobrag scene.toml",
            "",
            "nanobrag --help lists every flag, nanobrag --help -FLAG explains one.",
        ]
    )


def help_text() -> str:
    """Every flag with its unit, default and example, in groups."""
    lines = [usage().rpartition("\n\n")[0], "", *_wrapped(INTRODUCTION, ""), "", *_wrapped(RULES, "")]
    for title, flags in GROUPS.items():
        lines += ["", title]
        for flag in flags:
            lines += _entry(flag)
    return "\n".join(lines)


def flag_help(word: str) -> str:
    """One flag as the help has it, and the names of its neighbours.

    Raises:
        InputError: there is no such flag, with the nearest one.
    """
    from nanobrag_torch.cli.parse import find_flag, nearest

    flag = find_flag(word)
    if flag is None:
        raise InputError(word, "unknown flag", nearest(word))
    title, rows = next((title, rows) for title, rows in GROUPS.items() if flag in rows)
    at = rows.index(flag)
    beside = [row for row in rows[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1] if row is not flag]
    lines = [title, *_entry(flag)]
    if beside:
        lines += ["", "Beside it:"]
        for row in beside:
            words = " ".join(row.takes.shown)
            lines += _wrapped(f"{row.name}{' ' + words if words else ''}: {row.help}", "    ")
    return "\n".join(lines)


def _entry(flag: Flag) -> list[str]:
    words = " ".join(flag.takes.shown)
    head = ", ".join(flag.spellings) + (f" {words}" if words else "")
    details = f" ({flag.unit})" if flag.unit else ""
    details += f" [{flag.default}]" if flag.default else ""
    example = f"    e.g. {flag.example}" if words else ""
    mark = "+" if flag.extension else " "
    return [f"  {mark} {head}{example}", *_wrapped(flag.help + details, _INDENT)]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def page() -> str:
    """The documentation page of the command line, in Markdown."""
    lines = [
        "# Command line",
        "",
        "<!-- Made from the flag table by scripts/make_cli_page.py; do not edit. -->",
        "",
        *_wrapped(INTRODUCTION, ""),
        "",
        "```",
        usage(),
        "```",
        "",
        *_wrapped(RULES.replace("in * may", r"in \* may").replace("+ marks", "**+** marks"), ""),
        "",
        f"`{'`, `'.join(NEVER_EXISTED)}` of published examples never existed: they are ignored with a warning, "
        "together with one number behind them. Any other unknown word is refused. The exit status is 0; 9 when "
        "the input is refused; 70 after an error that is not of the input, such as a lack of memory; 130, 143, 129 "
        "after Ctrl-C, SIGTERM, SIGHUP.",
    ]
    for title, flags in GROUPS.items():
        lines += ["", f"## {title}", "", "| flag | unit | default | what it does | example |", "|---|---|---|---|---|"]
        lines += [_row(flag) for flag in flags]
    return "\n".join(lines) + "\n"


def _row(flag: Flag) -> str:
    words = " ".join(flag.takes.shown)
    spellings = " ".join(f"`{s}`" for s in flag.spellings) + (f" *{words}*" if words else "")
    mark = " **+**" if flag.extension else ""
    cells = (spellings + mark, flag.unit, flag.default, flag.help, f"`{flag.example}`")
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
