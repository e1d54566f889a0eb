from __future__ import annotations

from nanobrag_torch.parity.words import OURS_ONLY, line, portable, uses, without


def test_a_line_is_cut_into_flags_with_their_values():
    args = [
        "-cell",
        "40",
        "45",
        "--wave",
        "1.2",
        "-misset",
        "random",
        "-curved_det",
        "3",
        "-N",
        "4",
        "-hdiv",
        "2",
        "stray",
        "-what",
    ]
    found = uses(args)
    assert [(use.name, use.values) for use in found] == [
        ("-cell", ("40", "45")),
        ("-lambda", ("1.2",)),
        ("-misset", ("random",)),
        ("-curved_det", ("3",)),
        ("-N", ("4",)),
        ("-hdiv", ("2",)),
        ("stray", ()),
        ("-what", ()),
    ]
    assert line(found) == args


def test_missing_values_are_just_missing():
    assert uses(["-distance"])[0].values == ()


def test_input_files_get_whole_paths_and_outputs_lose_theirs(tmp_path):
    (tmp_path / "t.hkl").touch()
    args = ["-hkl", "t.hkl", "-mat", "absent.mat", "-floatfile", "/data/out.bin", "-intimage", "a/b.img"]
    assert portable(args, tmp_path) == [
        "-hkl", str(tmp_path / "t.hkl"), "-mat", "absent.mat", "-floatfile", "out.bin", "-intimage", "b.img",
    ]  # fmt: skip


def test_flags_can_be_left_out():
    assert without(["-N", "4", "-device", "cuda", "--dtype", "float32", "-phi", "2"], OURS_ONLY) == [
        "-N",
        "4",
        "-phi",
        "2",
    ]
