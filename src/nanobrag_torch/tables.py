"""Values as tables: as text for a terminal, as HTML for a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

Row = tuple[str, str, str]
"""Part of a scene, name, value; the part is shown where it changes."""
_MOST = 9
"""Numbers that are written out; of more only the shape is."""


def as_text(title: str, rows: Sequence[Row]) -> str:
    """A title and a line per row, in columns."""
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    lines, before = [title], ""
    for part, name, value in rows:
        shown = "" if part == before else part
        lines.append(f"  {shown:{widths[0]}}  {name:{widths[1]}}  {value}".rstrip())
        before = part
    return "\n".join(lines)


def as_html(title: str, rows: Sequence[Row]) -> str:
    """The same as an HTML table."""
    cells, before = [], ""
    for part, name, value in rows:
        shown = "" if part == before else f"<b>{html.escape(part)}</b>"
        left = 'style="text-align:left"'
        cells.append(
            f"<tr><td {left}>{shown}</td><td {left}>{html.escape(name)}</td><td {left}>{html.escape(value)}</td></tr>"
        )
        before = part
    return f"<table><caption>{html.escape(title)}</caption><tbody>{''.join(cells)}</tbody></table>"


def written(value: Any) -> str:
    """A value in a table: numbers with six digits, a tensor that requires a gradient says so, arrays by their shape."""
    gradient = " (requires a gradient)" if getattr(value, "requires_grad", False) else ""
    detached = value.detach() if hasattr(value, "detach") else value
    if hasattr(detached, "tolist") and hasattr(detached, "shape"):
        if detached.ndim > 1 or (detached.ndim == 1 and len(detached) > _MOST):
            return " x ".join(str(n) for n in detached.shape) + " numbers" + gradient
        detached = detached.tolist()
    if isinstance(detached, tuple | list) and detached and is_dataclass(detached[0]):
        return f"{len(detached)} of {type(detached[0]).__name__}"
    if isinstance(detached, tuple | list):
        return " ".join(written(part) for part in detached) + gradient
    if isinstance(detached, bool):
        return "yes" if detached else "no"
    if isinstance(detached, float):
        return f"{detached:g}{gradient}"
    return f"{detached}{gradient}"
