"""The shortest command line that still fails: flags are dropped, then numbers are made simple."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nanobrag_torch.cli.flags.words import is_number
from nanobrag_torch.parity.words import Use, line, uses

Fails = Callable[[Sequence[str]], bool]
MOST_TRIALS = 400


def shrink(args: Sequence[str], fails: Fails, most_trials: int = MOST_TRIALS) -> list[str]:
    """A line for which `fails` still holds, from which nothing more can be taken away.

    Args:
        args: a failing line.
        fails: whether a line fails (the same way).
        most_trials: lines to try at most.
    """
    trials = _Trials(fails, most_trials)
    parts = _without_what_can_go(uses(args), trials)
    parts = _with_simple_numbers(parts, trials)
    return line(_without_what_can_go(parts, trials))


class _Trials:
    """Counts the lines tried; beyond the limit none fails any more."""

    def __init__(self, fails: Fails, most: int) -> None:
        self.fails, self.left = fails, most
        self.known: dict[tuple[str, ...], bool] = {}

    def __call__(self, parts: Sequence[Use]) -> bool:
        words = tuple(line(parts))
        if words not in self.known:
            if self.left <= 0:
                return False
            self.left -= 1
            self.known[words] = self.fails(words)
        return self.known[words]


def _without_what_can_go(parts: list[Use], trials: _Trials) -> list[Use]:
    """Delta debugging: drop runs of flags, long runs first, until no single flag can go."""
    size = max(len(parts) // 2, 1)
    while True:
        start, dropped = 0, False
        while start < len(parts):
            rest = parts[:start] + parts[start + size :]
            if rest and trials(rest):
                parts, dropped = rest, True
            else:
                start += size
        if size == 1 and not dropped:
            return parts
        size = max(size // 2, 1)


def _with_simple_numbers(parts: list[Use], trials: _Trials) -> list[Use]:
    for i in range(len(parts)):
        use = parts[i]
        plain = Use(use.name, use.flag, use.values)
        if plain.word != use.word and trials([*parts[:i], plain, *parts[i + 1 :]]):
            parts = [*parts[:i], plain, *parts[i + 1 :]]
        for k in range(len(parts[i].values)):
            for value in _simpler(parts[i].values[k]):
                values = (*parts[i].values[:k], value, *parts[i].values[k + 1 :])
                changed = [*parts[:i], Use(parts[i].word, parts[i].flag, values), *parts[i + 1 :]]
                if trials(changed):
                    parts = changed
                    break
    return parts


def _simpler(word: str) -> Iterator[str]:
    """Numbers that are easier to read than this one, the easiest first."""
    if not is_number(word):
        return
    value = float(word)
    tried = {word}
    for candidate in (
        0.0,
        1.0,
        10.0,
        100.0,
        90.0,
        round(value),
        float(f"{value:.1g}"),
        float(f"{value:.2g}"),
    ):
        text = f"{candidate:.12g}"
        if text not in tried and len(text) <= len(word):
            tried.add(text)
            yield text
