"""What dxtbx and DIALS make of files, as JSON on standard output; run by DIALS' own Python.

python dxtbx_facts.py geometry FILE...
python dxtbx_facts.py indexed FOLDER
"""

import json
import sys


def geometry(path):
    """Beam centre (pixels), distance (mm), wavelength, scan and corners (mm) that dxtbx reads of a file."""
    from dxtbx.model.experiment_list import ExperimentListFactory

    experiment = ExperimentListFactory.from_filenames([path])[0]
    beam, corners = experiment.beam, []
    for panel in experiment.detector:
        width, height = (n * p for n, p in zip(panel.get_image_size(), panel.get_pixel_size(), strict=True))
        corners.append([panel.get_lab_coord(xy) for xy in ((0, 0), (width, 0), (0, height), (width, height))])
    first = experiment.detector[0]
    along = beam.get_unit_s0()
    ray = first.get_ray_intersection(along)
    scan = experiment.scan
    return {
        "format": experiment.imageset.get_format_class().__name__,
        "beam_centre": first.millimeter_to_pixel(ray) if len(experiment.detector) == 1 else None,
        "distance": first.get_directed_distance() / sum(a * b for a, b in zip(first.get_normal(), along, strict=True)),
        "wavelength": beam.get_wavelength(),
        "oscillation": scan.get_oscillation() if scan else None,
        "axis": experiment.goniometer.get_rotation_axis() if experiment.goniometer else None,
        "corners": corners,
        "largest": max(float(max(data)) for data in experiment.imageset.get_raw_data(0)),
    }


def indexed(folder):
    """Spots found and indexed, and the crystal, of a folder in which DIALS ran."""
    from dials.array_family import flex
    from dxtbx.model.experiment_list import ExperimentListFactory

    strong = flex.reflection_table.from_file(f"{folder}/strong.refl")
    experiments = ExperimentListFactory.from_json_file(f"{folder}/indexed.expt", check_format=False)
    spots = flex.reflection_table.from_file(f"{folder}/indexed.refl")
    crystal = experiments[0].crystal
    return {
        "found": len(strong),
        "indexed": int(spots.get_flags(spots.flags.indexed).count(True)),
        "crystals": len(experiments.crystals()),
        "A": list(crystal.get_A()),
        "cell": crystal.get_unit_cell().parameters(),
        "centroids": [list(xyz) for xyz in strong["xyzobs.px.value"]],
        "indexed_centroids": [
            list(xyz) for xyz in spots.select(spots.get_flags(spots.flags.indexed))["xyzobs.px.value"]
        ],
    }


if __name__ == "__main__":
    if sys.argv[1] == "geometry":
        print(json.dumps([geometry(path) for path in sys.argv[2:]]))
    else:
        print(json.dumps(indexed(sys.argv[2])))
