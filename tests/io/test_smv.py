from __future__ import annotations

import json
import sys

import fabio
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.smv import SmvHeader, header_values, read_mask, read_smv, read_smv_header, write_smv

HEADER = SmvHeader(
    pixels_f=6,
    pixels_s=4,
    pixel_size=0.1,
    distance=100.0,
    wavelength=1.2,
    beam_centre=(0.25, -0.0),
    adxv_centre=(0.4, 0.1),
    mosflm_centre=(0.25, 0.35),
    denzo_beam=(0.3, 0.4),
    dials_origin=(-0.4, 0.3, -100.0),
    xds_origin_pixels=(4.5, 1 / 3),
    close_distance=100.0,
    phi=7.5,
    osc_range=0.0,
    twotheta=12.0,
)
LONG = {
    "pixel_size": 0.0123456789,
    "distance": 123.456789,
    "wavelength": 1.23456789,
    "beam_centre": (-12.3456789, -0.00001234567),
    "adxv_centre": (-12.3456789, -0.00001234567),
    "mosflm_centre": (-12.3456789, -0.00001234567),
    "denzo_beam": (-12.3456789, -0.00001234567),
    "dials_origin": (-12.3456789, -0.00001234567, -123.456789),
    "xds_origin_pixels": (-1234.56789, -0.00001234567),
}


def counts() -> np.ndarray:
    return np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000


def replaced(**changes) -> SmvHeader:
    return SmvHeader(**{**HEADER.__dict__, **changes})


def test_header_text():
    text = HEADER.text()
    assert len(text) == 512
    assert text.rstrip(" ").split("\n") == [
        "{",
        "HEADER_BYTES=512;",
        "DIM=2;",
        f"BYTE_ORDER={sys.byteorder}_endian;",
        "TYPE=unsigned_short;",
        "SIZE1=6;",
        "SIZE2=4;",
        "PIXEL_SIZE=0.1;",
        "DISTANCE=100;",
        "WAVELENGTH=1.2;",
        "BEAM_CENTER_X=0.25;",
        "BEAM_CENTER_Y=-0;",
        "ADXV_CENTER_X=0.4;",
        "ADXV_CENTER_Y=0.1;",
        "MOSFLM_CENTER_X=0.25;",
        "MOSFLM_CENTER_Y=0.35;",
        "DENZO_X_BEAM=0.3;",
        "DENZO_Y_BEAM=0.4;",
        "DIALS_ORIGIN=-0.4,0.3,-100",
        "XDS_ORGX=4.5;",
        "XDS_ORGY=0.333333;",
        "CLOSE_DISTANCE=100;",
        "PHI=7.5;",
        "OSC_START=7.5;",
        "OSC_RANGE=0;",
        "TWOTHETA=12;",
        "DETECTOR_SN=000;",
        "BEAMLINE=fake;",
        "}\f",
    ]


def test_adc_offset_stands_behind_the_lines_of_the_c_program():
    assert "BEAMLINE=fake;\nADC_OFFSET=40.5;\n}\f" in replaced(adc=40.5).text()


def test_a_long_header_takes_1024_bytes(tmp_path):
    """specs: deviations D12."""
    header = replaced(**LONG, adc=40.0)
    assert header.text().startswith("{\nHEADER_BYTES=1024;\n")
    assert len(header.text()) == 1024
    write_smv(tmp_path / "a.img", counts(), header)
    np.testing.assert_array_equal(read_smv(tmp_path / "a.img")[0], counts())
    with fabio.open(tmp_path / "a.img") as image:
        np.testing.assert_array_equal(image.data, counts())


def test_fabio_reads_what_is_written(tmp_path):
    write_smv(tmp_path / "a.img", counts(), replaced(adc=40.0))
    assert (tmp_path / "a.img").stat().st_size == 512 + 48
    with fabio.open(tmp_path / "a.img") as image:
        np.testing.assert_array_equal(image.data, counts())
        assert float(image.header["DISTANCE"]) == 100.0
        assert image.header["ADC_OFFSET"] == "40"


def test_what_is_written_is_read(tmp_path):
    write_smv(tmp_path / "a.img", counts(), HEADER)
    read, facts = read_smv(tmp_path / "a.img")
    np.testing.assert_array_equal(read, counts())
    assert facts.twotheta == 12.0
    assert header_values(tmp_path / "a.img") == {
        "pixels_f": 6,
        "pixels_s": 4,
        "pixel_mm": 0.1,
        "distance_mm": 100.0,
        "close_distance_mm": 100.0,
        "wavelength_A": 1.2,
        "Xbeam_mm": 0.25,
        "Ybeam_mm": 0.0,
        "ORGX": 4.5,
        "ORGY": 0.333333,
        "phi_deg": 7.5,
        "osc_deg": 0.0,
    }


def write_header(path, *lines, pixels=b"", size=512):
    text = "".join(f"{line}\n" for line in ("{", f"HEADER_BYTES={size};", *lines)) + "}\f"
    path.write_bytes(text.encode("ascii").ljust(size) + pixels)
    return path


def test_a_mask_counts_ybeam_from_the_far_edge(tmp_path):
    path = write_header(tmp_path / "m.img", "SIZE1=96;", "SIZE2=80;", "PIXEL_SIZE=0.45;", "BEAM_CENTER_Y=14.1;")
    assert header_values(path, "img")["Ybeam_mm"] == 14.1
    assert header_values(path, "mask")["Ybeam_mm"] == pytest.approx(80 * 0.45 - 14.1, rel=1e-15)
    assert "Xbeam_mm" not in header_values(path, "mask")


def test_the_last_occurrence_counts_also_inside_a_longer_key(tmp_path):
    path = write_header(tmp_path / "a.img", "DISTANCE=90;", "CLOSE_DISTANCE=80;", "ORGX=1;", "XDS_ORGX= 30.5;")
    assert header_values(path) == {"distance_mm": 80.0, "close_distance_mm": 80.0, "ORGX": 30.5}
    path = write_header(tmp_path / "b.img", "CLOSE_DISTANCE=80;", "DISTANCE=90;")
    assert header_values(path) == {"distance_mm": 90.0, "close_distance_mm": 80.0}


@pytest.mark.parametrize("lines", [("DETECTOR_DIMENSIONS=64;",), ("SIZE1=0;", "SIZE2=0;", "DETECTOR_DIMENSIONS=64;")])
def test_detector_dimensions_stand_in_for_a_missing_size(tmp_path, lines):
    assert header_values(write_header(tmp_path / "a.img", *lines)) == {"pixels_f": 64, "pixels_s": 64}


def test_a_mask_keeps_what_is_not_zero(tmp_path):
    pixels = np.array([[0, 1, 65535], [7, 0, 0]], dtype=np.uint16)
    path = write_header(tmp_path / "m.img", "SIZE1=3;", "SIZE2=2;", pixels=pixels.tobytes())
    assert read_mask(path).keep.tolist() == [[False, True, True], [True, False, False]]
    assert read_mask(path).header.pixels_f == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an SMV image"),
        (b"P5\n3 2\n", "not an SMV image"),
        (b"{\nHEADER_BYTES=abc;\n", "HEADER_BYTES"),
        (b"{\nHEADER_BYTES=512;\nSIZE1=3;\n}\f", "within the file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    (tmp_path / "a.img").write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        read_smv_header(tmp_path / "a.img")
    with pytest.raises(FileFormatError, match="unable to open"):
        read_smv_header(tmp_path / "missing.img")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("DISTANCE=abc;", "DISTANCE: expected `=` and a finite number"),
        ("WAVELENGTH=nan;", "WAVELENGTH: expected"),
        ("PHI=1e999;", "PHI: expected"),
        ("SIZE1=2.5;", "2.5 is not a number of pixels"),
        ("SIZE2=-2;", "-2 is not a number of pixels"),
        ("TWOTHETA", "TWOTHETA: expected"),
    ],
)
def test_values_that_are_no_numbers_are_refused(tmp_path, line, words):
    with pytest.raises(FileFormatError, match=words):
        read_smv_header(write_header(tmp_path / "a.img", line))


def test_a_mask_without_size_or_pixels_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="SIZE1 and SIZE2"):
        read_mask(write_header(tmp_path / "a.img", "PIXEL_SIZE=0.1;"))
    with pytest.raises(FileFormatError, match="2 pixels behind the header, expected 3 x 2"):
        read_mask(write_header(tmp_path / "a.img", "SIZE1=3;", "SIZE2=2;", pixels=bytes(4)))
    with pytest.raises(FileFormatError, match="needs SIZE2"):
        header_values(write_header(tmp_path / "a.img", "BEAM_CENTER_Y=3;"), "mask")


def header_from(values: dict[str, str]) -> SmvHeader:
    def pair(x: str, y: str) -> tuple[float, float]:
        return float(values[x]), float(values[y])

    x, y, z = map(float, values["DIALS_ORIGIN"].split(","))
    return SmvHeader(
        int(values["SIZE1"]),
        int(values["SIZE2"]),
        float(values["PIXEL_SIZE"]),
        float(values["DISTANCE"]),
        float(values["WAVELENGTH"]),
        pair("BEAM_CENTER_X", "BEAM_CENTER_Y"),
        pair("ADXV_CENTER_X", "ADXV_CENTER_Y"),
        pair("MOSFLM_CENTER_X", "MOSFLM_CENTER_Y"),
        pair("DENZO_X_BEAM", "DENZO_Y_BEAM"),
        (x, y, z),
        pair("XDS_ORGX", "XDS_ORGY"),
        float(values["CLOSE_DISTANCE"]),
        float(values["PHI"]),
        float(values["OSC_RANGE"]),
        float(values["TWOTHETA"]),
    )


@pytest.mark.golden
def test_golden_headers_are_written_again_byte_for_byte(golden_folder):
    compared = 0
    for case in json.loads((golden_folder / "cases.json").read_text()):
        stored = {key: value for key, value in case["header_values"].items() if key != "HEADER_BYTES"}
        header = header_from(stored)
        if len(header.text()) == 512:
            assert header.items() == list(stored.items()), case["id"]
        else:  # Only 512 bytes were kept of a longer header of the C program (D12).
            whole = [item for item in stored.items() if item[0] != "BEAMLINE"]
            assert header.items()[: len(whole)] == whole, case["id"]
        if "header" in case["arrays"]:
            with np.load(golden_folder / case["file"]) as arrays:
                assert header.text() == str(arrays["header"]).ljust(512)[:512], case["id"]
            compared += 1
    assert compared >= 8
