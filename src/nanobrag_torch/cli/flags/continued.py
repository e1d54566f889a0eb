"""Words that begin like a starred flag: which continuations are meant, and which are flags of other programs.

nanoBragg.c takes any word that begins with a starred spelling for that flag. So does this program, and says so unless
the word is a plain way of writing the flag; where it is a flag of another program of the field, which means something
else, it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

_PLAIN = """
-wavelength -wavelen -wavelength_A -lambda_A -energy_eV -cell_parameters -sample_size -xtal_size -sample_thick
-sample_thickness -sample_width -sample_height -xtal_thick -xtal_thickness -xtal_width -xtal_height -height -density
-sample_density -sample_dens -molecular_weight -molecular -mosaicity -mosaic_spread -mosaic_spread_deg
-mosaic_domains -detsize_fast -detsize_slow -detpixels_fast -detpixels_slow -pixelsize -pixel_size -pixel_mm
-pixelsize_mm -pixel_size_mm -pixels -Xbeam_mm -Ybeam_mm -Xclose_mm -Yclose_mm -pix0_vector_mm -pix0_vector_m
-detector_rotx_deg -detector_roty_deg -detector_rotz_deg -curved_detector -detector_absorption -detector_abs_depth
-hklfile -hkl_file -dumpfile -dump_file -matrix -matfile -matrix_file -mat_file -imgfile -img_file -image -maskfile
-mask_file -sourcefiles -stoloutfile -floatfiles -adc_offset -adcoffset -oscillation -osc_range -oscrange -osc_deg
-osc_width -osc_angle
"""
PLAIN = frozenset(_PLAIN.split())
"""Continued spellings that say nothing else than the flag."""

_THREADS = ("processors", "-threads")
_FRAMES = ("images", "-frames")
OTHERS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("-Ncpu", "-Ncpus", "-Ncore", "-Ncores"), _THREADS),
    "-Nabc": ("cells along a, b and c", "-Na, -Nb, -Nc or -N"),
    "-Ncells": ("cells along a, b and c", "-N"),
    "-Ncells_abc": ("cells along a, b and c", "-Na, -Nb, -Nc or -N"),
    "-Nbatch": _FRAMES,
    "-Nbins": ("bins", "nothing of the sort here"),
    "-osc_start": ("the angle where an oscillation starts", "-phi"),
    "-oscillation_start": ("the angle where an oscillation starts", "-phi"),
    "-osc_axis": ("the spindle axis", "-spindle_axis"),
    "-osc_steps": ("the number of steps", "-phisteps"),
    "-osc_step": ("the step of an oscillation", "-phistep"),
    **dict.fromkeys(
        (
            "-energyspread",
            "-energy_spread",
            "-energy_bandwidth",
            "-wavelength_spread",
            "-lambda_spread",
            "-wave_spread",
        ),
        ("a band width", "-dispersion (in %) or -spectrum"),
    ),
    **dict.fromkeys(
        ("-lambda_min", "-lambda_max", "-lambda_low", "-lambda_high", "-energy_min", "-energy_max"),
        ("one end of a band", "-lambda with -dispersion, or -spectrum"),
    ),
    **dict.fromkeys(("-energy_keV", "-energy_kev", "-energykev"), ("an energy in keV", "-energy with the value in eV")),
    **dict.fromkeys(
        ("-pixelsize_um", "-pixel_size_um", "-pixel_um", "-pixelsize_m", "-pixel_size_m", "-pixel_m"),
        ("a pixel size in other units", "-pixel with the value in mm"),
    ),
    "-pixel_mask": ("a mask", "-mask"),
    "-mosaic_seed_offset": ("a seed", "-mosaic_seed"),
    "-mosaic_samples": ("the number of mosaic domains", "-mosaic_dom"),
    "-mosaic_dom_seed": ("a seed", "-mosaic_seed"),
    "-adc_gain": ("a gain", "-scale"),
    "-adcgain": ("a gain", "-scale"),
    "-mask_value": ("a value of masked pixels", "nothing of the sort here"),
    "-hkl_max": ("an index limit", "-dmin"),
    "-width_mm": ("the width of a detector", "-detsize"),
    "-height_mm": ("the height of a detector", "-detsize"),
    "-detsize_factor": ("a factor", "-detsize"),
}
"""Flags of other programs: what they mean there, and what to write instead."""


def said_of(word: str, stem: str) -> str:
    """The line about a word that was taken for the flag `stem`, or nothing where it is plain."""
    bare = _bare(word)
    return "" if bare == stem or bare in PLAIN else f"warning: {word} is taken for {stem}, with which it begins"


def meaning_elsewhere(word: str) -> tuple[str, str] | None:
    """What a word means in another program, and what to write here; `None` if it is none of theirs."""
    return OTHERS.get(_bare(word))


def _bare(word: str) -> str:
    return word[1:] if word.startswith("--") else word
