"""What is printed: one whole report and its variants; tests/test_golden.py compares the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from nanobrag_torch import __version__

WHOLE = f"""\
nanobrag_torch {__version__}: far-field diffraction of nanocrystals
mosflm convention selected.
pivoting detector around direct beam spot
XDS incident beam: 0 0 1
auto-selected no interpolation
Unit Cell: 40 45 50 90 90 90
Recp Cell: 0.025 0.0222222 0.02 90 90 90
volume = 90000 A^3
real-space cell vectors (Angstrom):
     a           b           c
X: 40.00000000 -0.00000000  0.00000000
Y:  0.00000000 45.00000000 -0.00000000
Z:  0.00000000  0.00000000 50.00000000
reciprocal-space cell vectors (Angstrom^-1):
     a_star      b_star      c_star
X:  0.02500000 -0.00000000 -0.00000000
Y:  0.00000000  0.02222222 -0.00000000
Z:  0.00000000  0.00000000  0.02000000
crystal is 0.016 x 0.018 x 0.02 microns
WARNING: maximum dimension of sample is 200 A
         but reciprocal pixel size is 180 A
         intensity may vary significantly across a pixel!
         recommend -oversample 4 to work around this
approximate MW = 65039.1
thick0 = 0 um
phi0 = 0
divergence deviation: 0 0
lambda0 = 1.2e-10
  created a total of 1 sources:
-10 -0 0   1 1.2e-10
  created a total of 1 mosaic domains
  0 initialized hkls (all others =100)
  parallelpiped xtal: 4x4x4 cells
  wave=1.2e-10 meters +/- 0% in 1 steps
  Kahn polarization factor: 0.000000
  incident fluence: 1.25932e+29 photons/m^2
  distance=0.06 detsize=0.008x0.0064  pixel=0.0004 meters (20x16 pixels)
  sensor is 0 m thick in 1 layers with mu= -1
  Xbeam=0.0034 Ybeam=0.0042
  Fbeam=0.0044 Sbeam=0.0036
  Xclose=0.004 Yclose=0.0032
  Fclose=0.0044 Sclose=0.0036
  DIRECTION_OF_DETECTOR_X-AXIS= 0 0 1
  DIRECTION_OF_DETECTOR_Y-AXIS= 0 -1 0
  DIRECTION_OF_DETECTOR_Z-AXIS= 1 0 0
  INCIDENT_BEAM_DIRECTION= 1 0 0
  spindle ROTATION_AXIS= 0 0 1
  POLARIZATION_PLANE_NORMAL= 0 -1 0
  dials origin= -4.4 3.6 -60
  roi: 0 < x < 20 && 0 < y < 16
  hdivrange=0 hdivstep=0  radians
  vdivrange=0 vdivstep=0  radians
  1 divergence steps
  1 sources
  1 mosaic domains over mosaic spread of 0 degrees
  1 phi steps from 0 to 0 degrees
  1x1 pixel oversample steps

  noise image paramters:
  seed: -3
  water droplet size: 0 m

solid angle subtended by detector = 0.0141689 steradian ( 0.112752% sphere)
writing floatimage.bin as 320 4-byte floats
max_I = 743.624  at 0.003 0.0034
mean= 103.299 rms= 208.476 rmsd= 180.992
intfile_scale = 73.9622
writing intimage.img as 2-byte integers
pgm_scale = 0.276255
writing image.pgm as 1-byte integers
32950 photons on noise image (0 overloads)
writing noiseimage.img as 2-byte integers
"""


def test_whole_report(run: Any) -> None:
    outcome = run(
        "-cell 40 45 50 -N 4 -detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 -oversample 1 "
        "-default_F 100 -seed 3 -noprogress"
    )
    assert [line.rstrip() for line in outcome.out.splitlines()] == WHOLE.splitlines()


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("-xds", ["xds convention selected.", "pivoting detector around sample"]),
        ("-fdet_vector 0 0 1", ["custom convention selected."]),
        ("-odet_vector 2 0 0", ["WARNING: auto-generating odet_vector"]),
        ("-N 2", ["auto-selected tricubic interpolation of structure factors"]),
        ("-mat A.mat", ["reading A.mat"]),
        ("-samplesize 0.2", ["WARNING: clipping sample (0.0002 m high) with beam (0.0001 m)"]),
        ("-samplesize 0.2", ["WARNING: clipping sample (0.0002 m wide) with beam (0.0001 m)"]),
        ("-oversample 0 -distance 1100", ["auto-selected 2-fold oversampling"]),
        (
            "-mosaic 1",
            [
                "WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains",
                "  created a total of 10 mosaic domains",
                "  10 mosaic domains over mosaic spread of 1 degrees",
            ],
        ),
        (
            "-detector_thick 100 -thicksteps 3 -detector_abs 50",
            ["thick0 = 0 um", "thick1 = 50 um", "thick2 = 100 um"],
        ),
        ("-detector_thick 100", ["WARNING: setting detector attenuation depth to 10000 m"]),
        ("-detector_thick 100", ["  sensor is 0.0001 m thick in 2 layers with mu= 10000"]),
        ("-detector_thick 100 -detector_abs inf", ["  sensor is 0 m thick in 1 layers with mu= 0"]),
        ("-phi 5 -osc 2 -phisteps 2", ["phi0 = 5", "phi1 = 6", "  2 phi steps from 5 to 7 degrees"]),
        ("-hdivrange 10 -hdivsteps 2", ["divergence deviation: -0.005 0", "divergence deviation: 0.005 0"]),
        ("-hdivrange 10 -hdivsteps 2", ["  hdivrange=0.01 hdivstep=0.01  radians", "  2 divergence steps"]),
        ("-dispersion 1 -dispsteps 3", ["lambda0 = 1.194e-10", "lambda1 = 1.2e-10", "lambda2 = 1.206e-10"]),
        ("-dispersion 1 -dispsteps 3", ["  wave=1.2e-10 meters +/- 1% in 3 steps", "  3 sources"]),
        (
            "-sourcefile sources.txt",
            [
                "  created a total of 2 sources:",
                "-10 0 0   1 1.2e-10",
                "-10 0.1 0   3 1.3e-10",
                "  -1 divergence steps",
            ],
        ),
        ("-round_xtal", ["  ellipsoidal xtal: 4x4x4 cells"]),
        ("-gauss_xtal", ["  gaussian xtal: 4x4x4 cells"]),
        ("-tophat_spots", ["  tophat-spot xtal: 4x4x4 cells"]),
        ("-polar 0.9", ["  Kahn polarization factor: 0.900000"]),
        ("-nopolar", ["  polarization effect disabled"]),
        ("-curved_det", ["  curved detector: all pixels same distance from origin"]),
        ("-point_pixel", ["  pixel obliquity effect disabled"]),
        ("-roi 2 8 3 -1", ["  roi: 2 < x < 8 && 3 < y < 12"]),
        (
            "-oversample 2 -oversample_thick -oversample_polar -oversample_omega",
            ["  2x2 pixel oversample steps +thick +polar +omega"],
        ),
        ("-mask mask.img", ["reading mask.img", "  skipping zero-flagged pixels in mask.img"]),
        ("-img camera.img", ["reading camera.img"]),
        (
            "-hkl P1.hkl -default_F 0",
            [
                "counting entries in P1.hkl",
                "re-reading P1.hkl",
                "writing dump file for next time: Fdump.bin",
                "  3315 initialized hkls (all others =0)",
            ],
        ),
        ("-hkl P1.hkl -default_F 7", ["initializing to default_F = 7.000000:", "done initializing:"]),
        ("-noisefile n.img -water 10", ["  noise image paramters:", "  seed: -1", "  water droplet size: 1e-05 m"]),
    ],
)
def test_lines_in_order(words: str, lines: list[str], run: Any) -> None:
    outcome = run.small(words)
    assert outcome.status == 0, outcome.err
    found = outcome.out.splitlines()
    places = [found.index(line) for line in lines]
    assert places == sorted(places)
