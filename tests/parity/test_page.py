from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from nanobrag_torch.parity.artifacts import write_artifacts
from nanobrag_torch.parity.page import report_page

VOID = {"meta", "img", "br", "line", "polyline", "circle"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def told(tmp_path):
    image = np.random.default_rng(1).random((20, 30)).astype(np.float32)
    write_artifacts(tmp_path, image * 1.1, image, centre=(10, 15), percentile=99)
    (tmp_path / "c.stdout").write_text("max_I = 3 <&>\n")
    times = {"wall_s": {"median": 2.0, "all": [2.0]}, "render_s": {"median": 1.0, "all": [1.0]}, "threads": 2}
    return {
        "verdict": "disagree",
        "exit_status": 3,
        "criterion": "bounds",
        "reasons": ["too <different>"],
        "notes": [],
        "date": "today",
        "args": ["-N", "a b"],
        "files": {"c.png": "00"},
        "metrics": {
            "correlation": 0.9,
            "rmse": 1.0,
            "relative_l2": 0.1,
            "max_difference": 0.1,
            "max_difference_at": [3, 4],
            "max_difference_values": [1.0, 1.1],
            "c_sum": 1.0,
            "py_sum": 1.1,
            "sum_ratio": 1.1,
            "equal_pixels": 0,
            "pixels": 600,
            "ssim": 0.99,
            "peaks": {"c_count": 2, "py_count": 2, "matched": 0, "mean_distance": None, "max_distance": None},
        },
        "times": {"c": times, "py": times, "ratio": {"render": 1.0}},
        "c": {
            "version": "C 1",
            "sha256": "ab",
            "is_reference": False,
            "command": ["c"],
            "workarounds": ["D01: x"],
            "doubts": [],
        },
        "py": {"command": ["py"], "torch": "2"},
    }


def test_the_page_is_whole_and_alone(told, tmp_path):
    page = report_page(told, tmp_path)
    checker = Balanced()
    checker.feed(page)
    assert checker.open == []
    assert "too &lt;different&gt;" in page
    assert "max_I = 3 &lt;&amp;&gt;" in page
    assert "do not agree" in page
    assert "D01: x" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<img ") == 3


def test_equal_images(told, tmp_path):
    told["metrics"] |= {"max_difference": 0.0}
    told |= {"verdict": "agree", "exit_status": 0, "reasons": []}
    page = report_page(told, tmp_path)
    assert "no pixel differs" in page
    assert "<b>agree</b>" in page
