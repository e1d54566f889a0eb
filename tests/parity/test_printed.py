from __future__ import annotations

from nanobrag_torch.parity.printed import printed_differences, printed_numbers

OUTPUT = """some banner
xds convention selected.
pivoting detector around sample
auto-selected no interpolation
random orientation misset angles: 1.000000 -2.500000 3.000000 deg
Unit Cell: 50 60 70 90 95.5 90
volume = 209033 A^3
real-space cell vectors (Angstrom):
     a           b           c
X: 1.00000000 2.00000000 3.00000000
Y: 4.00000000 5.00000000 6.00000000
Z: -0.00000000 8.00000000 9.00000000
WARNING: maximum dimension of sample is 350 A
phi0 = 1e-09
phi1 = 0.5
  created a total of 2 sources:
-10 -0 0   0.5 1e-10
-9.99998 0 0.02   0.5 9.95e-11
  created a total of 1 mosaic domains
  gaussian xtal: 5x6x7 cells
  wave=1e-10 meters +/- 1% in 3 steps
  distance=0.1 detsize=0.0512x0.0256  pixel=0.0004 meters (128x64 pixels)
  sensor is 0.00045 m thick in 2 layers with mu= -1
  Xclose=nan Yclose=-inf
  roi: 0 < x < 128 && -3 < y < 64
  2 sources
  2x2 pixel oversample steps +thick +omega
max_I = 12.5  at 0.0114 -0.001
mean= 1 rms= 2 rmsd= 3
7 photons on noise image (1 overloads)
"""


def test_every_kind_of_line_is_read():
    found = printed_numbers(OUTPUT)
    assert found["convention"] == "xds"
    assert found["pivot"] == "sample"
    assert found["interpolation_auto"] is False
    assert found["random_misset_deg"] == [1.0, -2.5, 3.0]
    assert found["unit_cell"] == [50, 60, 70, 90, 95.5, 90]
    assert found["real_space_vectors_A"] == {"a": [1, 4, 0], "b": [2, 5, 8], "c": [3, 6, 9]}
    assert found["warnings"] == ["WARNING: maximum dimension of sample is 350 A"]
    assert found["phi_list_deg"] == [1e-9, 0.5]
    assert found["source_list_xyz_weight_lambda_m"] == [[-10, 0, 0, 0.5, 1e-10], [-9.99998, 0, 0.02, 0.5, 9.95e-11]]
    assert found["sources"] == 2
    assert "mosaic_domains" not in found
    assert (found["shape"], found["cells"]) == ("gaussian", [5, 6, 7])
    assert (found["dispersion_percent"], found["dispersion_steps"]) == (1, 3)
    assert (found["detsize"], found["fpixels"], found["spixels"]) == ([0.0512, 0.0256], 128, 64)
    assert found["sensor"] == {"thick_m": 0.00045, "layers": 2, "mu_per_m": -1}
    assert found["Yclose"] == float("-inf")
    assert found["roi_xmin_xmax_ymin_ymax"] == [0, 128, -3, 64]
    assert (found["oversample"], found["oversample_flags"]) == (2, ["+thick", "+omega"])
    assert found["max_I_at_fast_slow_m"] == [0.0114, -0.001]
    assert (found["mean"], found["rms"], found["rmsd"]) == (1, 2, 3)
    assert (found["noise_photons"], found["noise_overloads"]) == (7, 1)
    assert "fluence" not in found


def test_differences_name_what_is_missing_or_other():
    ours = {"mean": 1.0, "rms": 625.444, "pivot": "beam"}
    assert printed_differences(ours, {"mean": 1.0, "rms": 625.443}) == []
    assert printed_differences(ours, {"mean": 1.00001}) == ["mean is 1.0, expected 1.00001"]
    assert printed_differences(ours, {"pivot": "sample"}) == ["pivot is beam, expected sample"]
    assert printed_differences(ours, {"sources": 2}) == ["sources is not printed, expected 2"]
