"""Previews: dark spots on white, at full size, with resolution rings and the direct beam on request."""

from __future__ import annotations

from numpy.typing import ArrayLike

from nanobrag_torch.io.files import Opening, PathLike, whole_file
from nanobrag_torch.io.picture import BLACK_PERCENTILE, WHITE_PERCENTILE, MarksLike, png_bytes, preview

__all__ = ["preview", "write_png"]


def write_png(
    path: PathLike,
    image: ArrayLike,
    marks: MarksLike | None = None,
    *,
    white: float = WHITE_PERCENTILE,
    black: float = BLACK_PERCENTILE,
    opening: Opening = whole_file,
    field: str = "",
) -> None:
    """Write the preview of an image [slow, fast], slow axis downwards; the same image gives the same bytes.

    Args:
        path: the file.
        image: photons or counts.
        marks: rings and beam to draw over it, from `io.rings.marks`.
        white: percentile of the pixels > 0 that is white.
        black: percentile of the pixels > 0 that is black.
        opening: what opens the file.
        field: the flag, for errors.
    """
    with opening(path, field) as file:
        file.write(png_bytes(image, marks, white=white, black=black))
