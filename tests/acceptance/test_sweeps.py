"""Spindle, misset, mosaic spread, divergence, dispersion and source files: each against what it is made of."""

from __future__ import annotations

import numpy as np
import pytest

SCENE = (
    "-default_F 100 -cell 40 45 50 -N 4 -lambda 1.2 -distance 60 -pixel 0.4 -detpixels_x 24 -detpixels_y 20 "
    "-oversample 1 -nonoise -nopgm "
)


def close(one: np.ndarray, other: np.ndarray, relative: float = 1e-5) -> None:
    np.testing.assert_allclose(one, other, rtol=relative, atol=relative * 0.1 * other.max())


@pytest.mark.parametrize(("convention", "axis"), [("-mosflm", 2), ("-xds", 0), ("-dials", 1), ("-adxv", 0)])
def test_the_spindle_turns_about_its_axis(draw, convention, axis):
    """A still at phi = 25 is a misset of 25 degrees about the spindle."""
    misset = ["0", "0", "0"]
    misset[axis] = "25"
    close(draw(f"{SCENE}{convention} -phi 25").image, draw(f"{SCENE}{convention} -misset {' '.join(misset)}").image)


@pytest.mark.parametrize(("words", "angles"), [
    ("-phi 5 -osc 3 -phisteps 3", (5, 6, 7)), ("-phi 0 -osc 2", (0, 1)), ("-phi -1 -phistep 1", (-1, 0)),
    ("-phi 5 -osc 2 -phistep 0.5", (5, 5.5, 6, 6.5)), ("-phi 7 -osc 0", (7, 7)), ("-phisteps 2", (0, 0.5)),
    ("-phi 0 -osc 10 -phisteps 2 -misset 10 20 30", None),
])  # fmt: skip
def test_a_sweep_is_the_mean_of_its_stills(draw, words, angles):
    swept = draw(SCENE + words).image.astype(float)
    still = words[words.index("-misset") :] if "-misset" in words else ""
    stills = [draw(f"{SCENE}{still} -phi {angle}").image.astype(float) for angle in angles or (0, 5)]
    close(swept, np.mean(stills, axis=0))


def test_the_full_circle_of_misset(draw):
    close(draw(SCENE + "-misset 370 20 -330").image, draw(SCENE + "-misset 10 380 30").image)


@pytest.mark.parametrize("seed", [1, 12, 0, -5])
def test_a_random_misset_is_the_one_it_prints(draw, seed):
    drawn = draw(f"{SCENE} -misset random -misset_seed {seed}")
    angles = " ".join(f"{angle:.6f}" for angle in drawn.printed["random_misset_deg"])
    close(draw(f"{SCENE} -misset {angles}").image, drawn.image, 1e-3)
    if seed == 12:
        assert drawn.printed["random_misset_deg"] == [-22.120634, -32.614197, 177.638564]


def test_seeds_make_the_orientation(draw):
    one, same, other = (draw(f"{SCENE} -misset random -misset_seed {s}").image for s in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_mosaic_domains(draw):
    """No spread: the still. The first domain is unturned; a growing spread takes from the peaks."""
    still = draw(SCENE + "-misset 10 20 30").image
    assert np.array_equal(draw(SCENE + "-misset 10 20 30 -mosaic 0 -mosaic_domains 5").image, still)
    assert np.array_equal(draw(SCENE + "-misset 10 20 30 -mosaic 2 -mosaic_domains 1").image, still)
    small, large = (draw(f"{SCENE} -misset 10 20 30 -mosaic {s} -mosaic_domains 20").image for s in (0.5, 10))
    assert still.max() > small.max() > large.max()
    assert draw(SCENE + "-mosaic 0.5").printed["mosaic_domains"] == 10


def sources(drawn) -> str:
    """A source file with the sources that a run printed."""
    rows = drawn.printed["source_list_xyz_weight_lambda_m"]
    return "".join(" ".join(f"{x:.9g}" for x in row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("-divergence 20 -divsteps 5", 13), ("-divergence 20 -divsteps 4", 12), ("-divergence 20 -divsteps 2", 4),
        ("-divergence 20 -divsteps 5 -square_div", 25), ("-hdivrange 10 -hdivstep 5", 2),
        ("-vdivrange 10 -vdivsteps 3", 3),
        ("-dispersion 2 -dispsteps 3", 3), ("-dispersion 2", 2), ("-divergence 10 -divsteps 3 -dispersion 2", 10),
        ("-xds -divergence 20 -divsteps 3 -polar 0.7", 5),
    ],
)  # fmt: skip
def test_generated_sources_equal_the_file_that_lists_them(draw, words, count):
    drawn = draw(SCENE + words)
    assert drawn.printed["sources"] == count
    convention = "-xds -polar 0.7 " if "-xds" in words else ""
    listed = draw(f"{SCENE}{convention} -sourcefile ../inputs/s.txt", {"s.txt": sources(drawn)}).image
    # The list is printed with six digits.
    close(listed, drawn.image, 3e-3)


def test_dispersion_is_the_mean_over_wavelengths(draw):
    scene = SCENE.replace("-lambda 1.2", "")
    mean = np.mean([draw(f"{scene} -lambda {w}").image.astype(float) for w in (1.188, 1.2, 1.212)], axis=0)
    close(draw(f"{scene} -lambda 1.2 -dispersion 2 -dispsteps 3").image, mean)


def test_weights_of_a_source_file_count_only_when_asked(draw):
    rows = ("-10 0 0 {} 1.1e-10\n", "-10 0.1 0 {} 1.3e-10\n")
    one = {"s.txt": "".join(row.format(w) for row, w in zip(rows, (1, 3), strict=True))}
    even = {"s.txt": "".join(row.format(1) for row in rows)}
    words = SCENE + "-sourcefile ../inputs/s.txt "
    assert np.array_equal(draw(words, one).image, draw(words, even).image)
    alone = [draw(words, {"s.txt": row.format(1)}).image.astype(float) for row in rows]
    # Polarization is that of the first source (specs: intensity 5), so it is switched off for the sum.
    alone = [draw(words + "-nopolar", {"s.txt": row.format(1)}).image.astype(float) for row in rows]
    close(draw(words + "-nopolar -source_weights", one).image, 0.25 * alone[0] + 0.75 * alone[1])


@pytest.mark.parametrize(
    "name",
    [
        "xtal_phi_single", "xtal_phi_sweep", "xtal_phi_osc_only", "xtal_phi_steps_only", "xtal_phi_phistep",
        "xtal_phi_osc_phistep", "xtal_phi_all_given", "xtal_phi_mosaic", "xtal_phi_xds", "xtal_phi_dials",
        "xtal_spindle_axis", "defect_phi0_sweep", "defect_phi0_crossing", "xtal_misset_random_1",
        "xtal_misset_random_2", "xtal_misset_random_3", "xtal_misset_random_mosaic", "xtal_mosaic_small",
        "xtal_mosaic_seed", "xtal_mosaic_default_domains", "xtal_mosaic_powder", "xtal_mosaic_no_spread",
        "beam_div_round", "beam_div_square", "beam_div_even_steps", "beam_div_stepsize", "beam_div_range_only",
        "beam_disp", "beam_disp_range_only", "beam_div_disp", "beam_div_xds", "beam_sources_wavelengths",
        "beam_sources_weights", "beam_sources_positions", "beam_sources_mixed", "beam_sources_xds",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)
