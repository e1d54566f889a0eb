"""Experiment lists of DIALS (`.expt`) written: refined models in place of those that were read, all else as it came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_list import PER_MM, LocalFrame, goniometer_of, parents_of
from nanobrag_torch.io.expt_models import (
    BeamModel,
    CrystalModel,
    DetectorModel,
    GoniometerModel,
    ImagesModel,
    Measured,
    PanelModel,
    Raw,
    ScanModel,
)
from nanobrag_torch.io.expt_schema import LIST, MODELS
from nanobrag_torch.io.files import Opening, PathLike, whole_file
from nanobrag_torch.units import mm_from_metres


def write_expt_list(
    path: PathLike, experiments: Sequence[Measured], *, opening: Opening = whole_file, field: str = ""
) -> None:
    """Write experiments, refined or as they were read, so that DIALS reads them; `field` names the flag in errors.

    What a model's `raw` holds beyond what is understood here is kept, except statements about precision that a change
    makes untrue. Panels keep their place in the hierarchy. Models that are the same object, or equal, are shared.

    Raises:
        InputError: no experiment, or the file cannot be written.
    """
    if not experiments:
        raise InputError(field or str(path), "no experiment to write", "give at least one")
    lists: dict[str, list[dict[str, Any]]] = {kind: [] for kind in MODELS}
    places: dict[tuple[str, str], int] = {}
    written = []
    for experiment in experiments:
        entry = {"__id__": "Experiment", **experiment.raw, "identifier": experiment.identifier}
        for kind in MODELS:
            entry.pop(kind, None)
            model = _written(kind, experiment)
            if model is None:
                continue
            key = kind, json.dumps(model, sort_keys=True)
            if key not in places:
                places[key] = len(lists[kind])
                lists[kind].append(model)
            entry[kind] = places[key]
        for kind in ("profile", "scaling_model"):
            entry.pop(kind, None)
        written.append(entry)
    content = {"__id__": LIST, "experiment": written, **lists, "profile": [], "scaling_model": []}
    text = json.dumps(content, indent=1, allow_nan=False)
    with opening(path, field) as file:
        file.write(text.encode("utf-8") + b"\n")


def _written(kind: str, experiment: Measured) -> dict[str, Any] | None:
    """A model as a file has it, or `None` if the experiment has none."""
    match kind:
        case "beam":
            return _beam_raw(experiment.beam)
        case "detector":
            return _detector_raw(experiment.detector)
        case "goniometer":
            return None if experiment.goniometer is None else _goniometer_raw(experiment.goniometer)
        case "scan":
            return None if experiment.scan is None else _scan_raw(experiment.scan)
        case "crystal":
            return None if experiment.crystal is None else _crystal_raw(experiment.crystal)
    return None if experiment.images is None else _images_raw(experiment.images, still=experiment.still)


def _images_raw(images: ImagesModel, *, still: bool) -> dict[str, Any]:
    """The set of images of a file as it came, or one of these names; a template or one file makes a sequence."""
    if images.raw:
        return dict(images.raw)
    if len(images.names) == 1 and not still:
        return {"__id__": "ImageSequence", "template": images.names[0]}
    indices = None if images.indices is None else list(images.indices)
    return {"__id__": "ImageSet", "images": list(images.names), "single_file_indices": indices}


def _list(values: Any) -> list[float]:
    return [float(x) + 0.0 for x in np.ravel(values)]


def _beam_raw(beam: BeamModel) -> dict[str, Any]:
    raw = {
        "__id__": "monochromatic",
        "flux": 0.0,
        "transmission": 1.0,
        **_without(beam.raw, "s0_at_scan_points"),
        "direction": _list(-beam.direction),
        "divergence": beam.divergence,
        "sigma_divergence": beam.sigma_divergence,
        "polarization_normal": _list(beam.polarization_normal),
        "polarization_fraction": beam.polarization_fraction,
    }
    if beam.bandwidth == 0 or "wavelength" in raw:
        raw["wavelength"] = beam.wavelength
    if beam.bandwidth > 0:
        half = 0.5 * beam.bandwidth
        raw["wavelength_range"] = [beam.wavelength * (1 - half), beam.wavelength * (1 + half)]
    return raw


def _without(raw: Raw, *names: str) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in names}


def _detector_raw(detector: DetectorModel) -> dict[str, Any]:
    parents = parents_of(detector.raw, len(detector.panels))
    panels = [_panel_raw(panel, parents[i]) for i, panel in enumerate(detector.panels)]
    return {**detector.raw, "panels": panels}


def _panel_raw(panel: PanelModel, parent: LocalFrame) -> dict[str, Any]:
    plane, back = panel.plane, parent.axes.T
    raw = {
        "type": "SENSOR_PAD",
        "raw_image_offset": [0, 0],
        "material": "Si",
        "identifier": "",
        "thickness": mm_from_metres(plane.thickness),
        "mu": plane.attenuation / PER_MM,
        "px_mm_strategy": {"type": "ParallaxCorrectedPxMmStrategy" if panel.thick else "SimplePxMmStrategy"},
        **panel.raw,
        "name": plane.name or "Panel",
        "fast_axis": _list(back @ plane.fast),
        "slow_axis": _list(back @ plane.slow),
        "origin": _list(back @ (mm_from_metres(plane.origin) - parent.origin)),
        "image_size": [plane.pixels_f, plane.pixels_s],
        "pixel_size": list(panel.pixel_mm),
        "gain": panel.gain,
        "pedestal": panel.pedestal,
        "mask": [list(box) for box in panel.masked],
        "trusted_range": [panel.trusted[0], min(panel.trusted[1], 1e12)],
    }
    if plane.thickness > 0:
        raw.update(thickness=mm_from_metres(plane.thickness), mu=plane.attenuation / PER_MM)
    return raw


def _goniometer_raw(goniometer: GoniometerModel) -> dict[str, Any]:
    """Several axes stay as long as only the scan axis has moved."""
    raw = goniometer.raw
    if raw.get("axes") is not None:
        before = goniometer_of("", "", _without(raw, "setting_rotation_at_scan_points"))
        same = [np.allclose(getattr(before, x), getattr(goniometer, x), rtol=0, atol=1e-12) for x in _ROTATIONS]
        if all(same):
            axes = [list(axis) for axis in raw["axes"]]
            if not np.allclose(before.axis, goniometer.axis, rtol=0, atol=1e-12):
                axes[int(raw["scan_axis"])] = _list(goniometer.axis)
            return {**_without(raw, "setting_rotation_at_scan_points"), "axes": axes}
    return {
        "rotation_axis": _list(goniometer.axis),
        "fixed_rotation": _list(goniometer.fixed),
        "setting_rotation": _list(goniometer.setting),
    }


_ROTATIONS = ("fixed", "setting")


def _scan_raw(scan: ScanModel) -> dict[str, Any]:
    raw = {"batch_offset": 0, "valid_image_ranges": {}, **scan.raw}
    raw["image_range"] = [scan.first, scan.first + scan.images - 1]
    if "properties" in raw:
        starts = [float(scan.start + scan.width * i) for i in range(scan.images)]
        raw["properties"] = {**raw["properties"], "oscillation": starts}
        if scan.images == 1 or "oscillation_width" in raw["properties"]:
            raw["properties"]["oscillation_width"] = [scan.width] * scan.images
        return raw
    raw["oscillation"] = [scan.start, scan.width]
    for key in ("exposure_time", "epochs"):
        raw.setdefault(key, [0.0] * scan.images)
        if len(raw[key]) != scan.images:
            raw[key] = (list(raw[key]) + [0.0] * scan.images)[: scan.images]
    return raw


def _crystal_raw(crystal: CrystalModel) -> dict[str, Any]:
    """Covariances of a cell that has changed go, unless the points of the scan are still those of the file."""
    raw: dict[str, Any] = {"__id__": "crystal", **crystal.raw}
    vectors = {f"real_space_{x}": _list(row) for x, row in zip("abc", crystal.cell, strict=True)}
    changed = any(raw.get(key) != value for key, value in vectors.items())
    given = None if crystal.points is None else [_list(point) for point in np.linalg.inv(crystal.points)]
    before = raw.get("A_at_scan_points")
    moved = given is not None and (before is None or not np.allclose(given, before, rtol=1e-12, atol=0))
    if changed or moved or (given is None and before):
        raw = {key: v for key, v in raw.items() if "covariance" not in key and not key.startswith("recalculated")}
        raw = _without(raw, "A_at_scan_points", "cell_parameter_sd", "cell_volume_sd")
    raw.update(vectors, space_group_hall_symbol=crystal.hall)
    if given is not None and (moved or changed):
        raw["A_at_scan_points"] = given
    if crystal.domain_size > 0 or "ML_half_mosaicity_deg" in raw:
        raw.update(ML_domain_size_ang=crystal.domain_size, ML_half_mosaicity_deg=crystal.mosaicity)
    elif crystal.mosaicity > 0:
        raw["mosaicity"] = crystal.mosaicity
    return raw
