from __future__ import annotations

from nanobrag_torch.parity.golden_table import Row, double_row, markdown, single_row


def test_rows_of_a_case(copied_cases):
    case = copied_cases["out_int_roi"]
    double, single = double_row(case), single_row(case)
    assert double.case == single.case == "out_int_roi"
    assert double.cells[-1] == "equal"
    assert 0 <= double.worst <= 1
    assert 0 <= single.worst <= 1


def test_a_case_that_differs_stands_outside_its_bounds(copied_cases):
    case = copied_cases["out_int_roi"]
    header = {**case.facts["header_values"], "DISTANCE": "91"}
    other = type(case)(case.id, case.folder, case.args, case.verdict, {**case.facts, "header_values": header})
    row = double_row(other)
    assert row.worst >= 2
    assert "DISTANCE" in row.cells[-1]


def test_the_worst_row_comes_first():
    text = markdown(("figure",), [Row("good", 0.1, ("1",)), Row("bad", 2.0, ("3",))])
    assert text.splitlines() == [
        "| case | figure | worst / bound |",
        "|---|---|---|",
        "| bad | 3 | 2 |",
        "| good | 1 | 0.1 |",
    ]
