from __future__ import annotations

import pytest

from nanobrag_torch.parity.transcript import same_line, transcript_differences

C = "banner of C\nsix lines\n  distance=0.1 detsize=0.2x0.3\nvolume = 1000 A^3\n     a    b   c\nX: 1 2 3\nlast\n"


def test_equal_but_for_the_banner_and_titles():
    ours = C.replace("banner of C", "ours").replace("a    b   c", "a*   b*  c*").replace("last", "\nlast\n")
    assert transcript_differences(ours, C) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("1000", "1001"), ["volume = 1001 A^3 | volume = 1000 A^3"]),
        (("six lines\n", ""), [" | six lines"]),
        (("last\n", "last\nmore\n"), ["more | "]),
        (("six", "seven"), ["seven lines | six lines"]),
    ],
)
def test_differences(change, found):
    assert transcript_differences(C.replace(*change), C) == found


def test_a_last_digit_may_fall_to_either_side_twice():
    theirs = "b\n" + "".join(f"x{i} = 1.2345{i}\n" for i in range(3))
    one = theirs.replace("1.23450", "1.23451")
    three = one.replace("1.23452", "1.23453").replace("x1 = 1.23451", "x1 = 1.23452")
    assert transcript_differences(one, theirs) == []
    assert len(transcript_differences(three, theirs)) == 1
    assert len(transcript_differences(theirs.replace("1.23450", "1.23460"), theirs)) == 1


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("v 1 0 0", "v 1 6.1e-17 -0", True), ("v 1 0", "v 1 1e-9", False), ("v nan inf", "v nan inf", True),
        ("v -nan", "v nan", True), ("v 1", "w 1", False), ("v 1", "v 1 2", False), ("v 1.0", "v 1", True),
    ],
)  # fmt: skip
def test_same_line(a, b, same):
    assert same_line(a.replace("-nan", "nan"), b) is same
