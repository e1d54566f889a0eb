"""What holds for every text and every word, by hypothesis."""

from __future__ import annotations

import math
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobrag_torch.cli.flags import FLAGS
from nanobrag_torch.cli.parse import find_flag, parse_line
from nanobrag_torch.errors import FileFormatError, NanobragError
from nanobrag_torch.guard import LONGEST_LINE, shortened
from nanobrag_torch.io.reading import read_lines, unpacked
from nanobrag_torch.text import real

FAST = settings(max_examples=150, deadline=None, derandomize=True)
WORDS = st.one_of(
    st.sampled_from([spelling.rstrip("*") for flag in FLAGS if not flag.action for spelling in flag.spellings]),
    st.text(max_size=12),
    st.floats().map(str),
    st.integers().map(str),
)


@FAST
@given(st.text())
def test_a_message_is_one_short_line(text: str) -> None:
    line = shortened(text)
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) <= LONGEST_LINE


@FAST
@given(st.lists(WORDS, max_size=8))
def test_any_words_are_understood_or_refused(words: list[str]) -> None:
    if any(flag.action or flag.name in ("-img", "-mask", "-expt") for flag in map(find_flag, words) if flag):
        return
    with suppress(NanobragError):
        parse_line(words)


@FAST
@given(st.floats(allow_nan=False))
def test_numbers_are_read_as_they_are_written(value: float) -> None:
    assert real(repr(value)) == value or math.isinf(value)


@FAST
@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\ufeff")),
    st.sampled_from(("utf-8-sig", "utf-16")),
)
def test_marked_texts_are_read_whole(text: str, encoding: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text")
        path.write_bytes(f"{text}\nend".encode(encoding))
        assert read_lines(path) == [text, "end"]


@FAST
@given(st.binary(max_size=200))
def test_gzip_is_unpacked_within_its_bound_or_refused(content: bytes) -> None:
    import gzip

    packed = gzip.compress(content, mtime=0)
    assert unpacked("a", packed) == content
    if content:
        with pytest.raises(FileFormatError, match="unpacks to more than"):
            unpacked("a", packed, len(content) - 1)
        with pytest.raises(FileFormatError, match="gzip"):
            unpacked("a", packed[:-9])
