"""From words to a configuration; the rows of the table are tested in test_flags.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanobrag_torch.cli.parse import bare, find_flag, nearest, parse, parse_line
from nanobrag_torch.config import Config
from nanobrag_torch.errors import FileFormatError, InputError


def header(path: Path, **fields: object) -> str:
    text = "{\nHEADER_BYTES=512;\nDIM=2;\n" + "".join(f"{k}={v};\n" for k, v in fields.items()) + "}\f"
    path.write_bytes(text.ljust(512).encode() + bytes(2 * 16))
    return str(path)


def test_nothing_said() -> None:
    config = parse([])
    assert config.crystal.use_dump
    assert config.output.physics == "nanobragg"
    assert config.detector == Config().detector


def test_numbers_are_those_of_the_c_library() -> None:
    assert parse(["-lambda", "0.97670000000000001"]).beam.wavelength_A == 0.9767
    assert parse(["-energy", "12000"]).beam.wavelength_A == 12398.42 / 12000


def test_spelling_of_every_field_is_kept() -> None:
    parsed = parse_line(["-wavelength", "2", "--Na", "3", "-misset", "random"])
    assert parsed.spelt["wavelength_A"] == "-wavelength"
    assert parsed.spelt["Na"] == "--Na"
    assert parsed.spelt["misset_random"] == "-misset"


def test_headers_come_first_mask_before_image(tmp_path: Path) -> None:
    mask = header(tmp_path / "mask.img", SIZE1=4, SIZE2=4, PIXEL_SIZE=0.5, DISTANCE=50, PHI=7)
    image = header(tmp_path / "image.img", SIZE1=4, SIZE2=4, DISTANCE=60, BEAM_CENTER_Y=0.5)
    parsed = parse_line(["-distance", "70", "-img", image, "-mask", mask])
    detector = parsed.config.detector
    assert (detector.distance_mm, detector.pixel_mm, detector.pixels_f) == (70.0, 0.5, 4)
    assert parsed.config.sampling.phi_deg == 7.0
    assert (parsed.config.sampling.mask_file, parsed.config.output.header_file) == (mask, image)
    assert parsed.spelt["pixel_mm"] == f"-mask {mask}"
    assert parsed.spelt["distance_mm"] == "-distance"
    assert parse(["-img", image, "-mask", mask]).detector.distance_mm == 60.0
    assert parse(["-mask", mask]).detector.distance_mm == 50.0


def test_header_touches_neither_convention_nor_pivot(tmp_path: Path) -> None:
    image = header(tmp_path / "image.img", SIZE1=4, SIZE2=4, DISTANCE=60, XDS_ORGX=3, BEAM_CENTER_X=1)
    detector = parse(["-img", image]).detector
    assert (detector.pivot, detector.convention, detector.ORGX) == (None, None, 3.0)


def test_last_of_two_headers_counts(tmp_path: Path) -> None:
    one = header(tmp_path / "one.img", SIZE1=4, SIZE2=4, WAVELENGTH=2)
    two = header(tmp_path / "two.img", SIZE1=4, SIZE2=4, PHI=3)
    config = parse(["-img", one, "-img", two])
    assert (config.beam.wavelength_A, config.sampling.phi_deg) == (None, 3.0)


def test_close_distance_of_a_header_beats_its_distance(tmp_path: Path) -> None:
    image = header(tmp_path / "image.img", SIZE1=4, SIZE2=4, DISTANCE=60, CLOSE_DISTANCE=59)
    detector = parse(["-img", image]).detector
    assert (detector.distance_mm, detector.close_distance_mm) == (None, 59.0)
    detector = parse(["-img", image, "-distance", "80"]).detector
    assert (detector.distance_mm, detector.close_distance_mm) == (80.0, 59.0)


def test_two_theta_of_a_header_is_noticed(tmp_path: Path) -> None:
    image = header(tmp_path / "image.img", SIZE1=4, SIZE2=4, TWOTHETA=5)
    parsed = parse_line(["-img", image])
    assert parsed.config.detector.twotheta_deg is None
    assert "TWOTHETA=5" in parsed.notes[0]


def test_missing_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="unable to open"):
        parse(["-img", str(tmp_path / "none.img")])


@pytest.mark.parametrize("word", ["-h", "--h", "-help", "--help"])
def test_help_wins_over_everything(word: str) -> None:
    assert parse_line(["-nonsense", "5", word, "-distance"]).action == "help"


def test_version() -> None:
    assert parse_line(["--version"]).action == "version"


def test_error_names_the_flag_as_typed() -> None:
    with pytest.raises(InputError) as caught:
        parse(["--wavelength", "x"])
    assert caught.value.field == "--wavelength"
    assert "write --wavelength x (Å)" in str(caught.value)


def test_cell_stops_at_a_dash() -> None:
    config = parse(["-cell", "10", "20", "30", "-N", "4"])
    assert (config.crystal.cell_a, config.crystal.cell_c, config.crystal.cell_alpha) == (10.0, 30.0, None)
    with pytest.raises(InputError, match="'-60': belongs to no flag"):
        parse(["-cell", "50", "-60"])


def test_notes_are_said_once() -> None:
    assert len(parse_line(["-coherent", "-coherent"]).notes) == 1


def test_longest_starred_spelling_counts() -> None:
    flag = find_flag("-detpixels_fast")
    assert flag is not None
    assert flag.name == "-detpixels_f"


def test_nearest_spelling() -> None:
    assert nearest("--detectr_rotx") == "did you mean -detector_rotx?"
    assert nearest("-qqqqqqqq") == "see --help for all flags"


def test_bare_name() -> None:
    assert bare("detector.distance_mm") == bare("distance_mm") == "distance_mm"
