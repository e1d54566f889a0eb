"""Numbers as text, the way C's printf writes them."""

from __future__ import annotations

from typing import SupportsFloat


def g(value: SupportsFloat) -> str:
    """A number as `%g`: six significant digits, no trailing zeros, `-0` kept (specs: io_formats 3)."""
    return f"{float(value):g}" if float(value) == float(value) else "nan"


def c_format(template: str, *values: object) -> str:
    """`template` with printf directives filled in; Python's `%` operator agrees with C for e, f, g, d and s."""
    return template % values
