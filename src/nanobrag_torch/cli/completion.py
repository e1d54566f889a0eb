"""Completion of the command line in bash, zsh and fish, made from the flag table.

eval "$(nanobrag --completion bash)"        # in ~/.bashrc
eval "$(nanobrag --completion zsh)"         # in ~/.zshrc, behind compinit
nanobrag --completion fish | source         # in config.fish
"""

from __future__ import annotations

import re
import shlex

from nanobrag_torch.cli.flags import FLAGS, Flag

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The script for a shell of `SHELLS`."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _spellings(flag: Flag) -> list[str]:
    """What is offered; one that may be continued, as the example continues it."""
    written = flag.example_words[0]
    return [
        written if spelling.endswith("*") and written.startswith(spelling[:-1]) else spelling.rstrip("*")
        for spelling in flag.spellings
    ]


def _choices(flag: Flag) -> list[str]:
    """The words that may follow, where there are few."""
    shown = flag.takes.shown
    return shown[0].split("|") if len(shown) == 1 and "|" in shown[0] else []


def _takes_file(flag: Flag) -> bool:
    return flag.takes.shown == ("file",)


def _summary(flag: Flag) -> str:
    """What a flag does, to its first stop, without marks that a shell minds."""
    text = re.split(r"[;:]", flag.help)[0] + (f" ({flag.unit})" if flag.unit else "")
    return re.sub(r"[\[\]'\"`\\]", "", text)


def _bash() -> str:
    cases = []
    for flag in FLAGS:
        pattern = "|".join(map(shlex.quote, _spellings(flag)))
        if _takes_file(flag):
            cases.append(f'    {pattern}) COMPREPLY=($(compgen -f -- "$word")); return ;;')
        elif _choices(flag):
            words = shlex.quote(" ".join(_choices(flag)))
            cases.append(f'    {pattern}) COMPREPLY=($(compgen -W {words} -- "$word")); return ;;')
    every = shlex.quote(" ".join(spelling for flag in FLAGS for spelling in _spellings(flag)))
    return "\n".join(
        [
            "_nanobrag() {",
            '  local word="${COMP_WORDS[COMP_CWORD]}"',
            '  case "${COMP_WORDS[COMP_CWORD-1]}" in',
            *cases,
            "  esac",
            '  case "$word" in',
            f'    -*) COMPREPLY=($(compgen -W {every} -- "$word")) ;;',
            '    *) COMPREPLY=($(compgen -f -- "$word")) ;;',
            "  esac",
            "}",
            "complete -o filenames -F _nanobrag nanobrag",
        ]
    )


def _zsh() -> str:
    lines = []
    for flag in FLAGS:
        words = _choices(flag)
        values = "".join(
            f":{shown}:{'_files' if _takes_file(flag) else '(' + ' '.join(words) + ')' if words else ' '}"
            for shown in ((flag.takes.shown[0].partition("|")[0],) if words else flag.takes.shown)
        )
        for spelling in _spellings(flag):
            lines.append("    " + shlex.quote(f"*{spelling}[{_summary(flag)}]{values}") + " \\")
    head = ["#compdef nanobrag", "_nanobrag() {", "  _arguments \\"]
    return "\n".join([*head, *lines, "    '*:scene:_files -g \"*.toml\"'", "}", "compdef _nanobrag nanobrag"])


def _fish() -> str:
    lines = ["complete -c nanobrag -f -a '(__fish_complete_suffix .toml)'"]
    for flag in FLAGS:
        if _takes_file(flag):
            values = " -r -F"
        elif _choices(flag):
            values = f" -x -a {shlex.quote(' '.join(_choices(flag)))}"
        else:
            values = " -x" if flag.takes.shown else ""
        names = "".join(f" -o {shlex.quote(spelling[1:])}" for spelling in _spellings(flag))
        lines.append(f"complete -c nanobrag{names}{values} -d {shlex.quote(_summary(flag))}")
    return "\n".join(lines)
