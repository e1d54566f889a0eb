"""The response of a detector as specified in a scene, and the counts that it makes of an image.

response_of(said, seed)             what was specified, without the scene
placed(response, ...)               with sensor, beam stop and point spread where panel and beam are
record_image(image, config)         the counts of every panel
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from nanobrag_torch.config.response import PRESETS, ResponseConfig
from nanobrag_torch.detector.model import BeamStop, DetectorResponse, Sensor, response_from
from nanobrag_torch.detector.presets import Modules, gaps_of, preset
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.units import metres_from_um, mm_from_metres

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nanobrag_torch.config import Config, OutputConfig
    from nanobrag_torch.detector.record import Recorded
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.models.detector import Panel
    from nanobrag_torch.pipeline.image import Image

_STAGES = {
    "flicker": "flicker",
    "calibration": "calibration",
    "calibration_seed": "calibration_seed",
    "charge_sharing": "sharing",
    "dead_time_ns": "dead_time_ns",
    "dead_time_law": "dead_time_law",
    "psf": "spread",
    "gain": "gain",
    "readout_noise": "readout",
    "bits": "bits",
    "dead_pixels": "dead",
    "hot_pixels": "hot",
}
"""Fields of `ResponseConfig` that are fields of `DetectorResponse`, whose names stand on the right."""
_SAID = {stage: name for name, stage in _STAGES.items()} | {"width": "psf_fwhm_um"}
DEFAULT_EDGE_MM = 0.1
"""σ of the half-shadow of a beam stop that is given by its radius alone."""
_LARGEST_SEED = 2**63


@dataclass(frozen=True)
class Specified:
    """A response without a scene.

    Args:
        response: its stages. What the scene decides of sensor, beam stop and point spread is put in by `placed`.
        modules: of a pixel detector, or `None`.
        width_um: full width at half maximum of the point spread, or `None` = that of the response, in pixels.
        stop_mm: radius and σ of the edge of a beam stop at the beam, and what it lets through; or `None`.
        placed: the sensor of a file stands where the file says.
    """

    response: DetectorResponse
    modules: Modules | None = None
    width_um: float | None = None
    stop_mm: tuple[float, float, float] | None = None
    placed: bool = False


def is_specified(said: ResponseConfig) -> bool:
    """Whether there is a response at all."""
    return said != ResponseConfig()


def check_response(said: ResponseConfig, output: OutputConfig) -> None:
    """Refuse a response that cannot be, or that no file would hold.

    Raises:
        InputError, FileFormatError: names the field, or the file.
    """
    if not is_specified(said):
        return
    name = next(f.name for f in fields(said) if getattr(said, f.name) != f.default)
    if not output.noise:
        raise InputError(name, "a detector counts photons, and there is no noise", "leave out -nonoise")
    if said.photons_file is not None and output.frames is not None:
        raise InputError("photons_file", "a series renders its images", "leave out one of them")
    response_of(said, output.noise_seed or 0, output.adc)


def image_of(name: str, experiment: Experiment) -> Image:
    """The image in a file of 4-byte floats, as if the scene had been rendered.

    Raises:
        FileFormatError: missing, or of another size than the detector.
        InputError: several panels, or a pixel that is negative or not finite.
    """
    import numpy as np
    import torch

    from nanobrag_torch.io.raw import read_float_image
    from nanobrag_torch.pipeline.image import Image

    panels = experiment.detector.panels
    if len(panels) > 1:
        raise InputError("photons_file", f"the detector has {len(panels)} panels, a float image holds one", "render it")
    values = read_float_image(name, panels[0].pixels_f, panels[0].pixels_s)
    if not np.isfinite(values).all() or values.min() < 0.0:
        raise InputError("photons_file", "a pixel is negative or not finite", "give expected photons")
    return Image(experiment, (torch.from_numpy(values.reshape(-1).copy()),), (None,))


def response_of(said: ResponseConfig, seed: int = 1, adc: float | None = None) -> Specified:
    """What was specified.

    Args:
        said: the fields.
        seed: of the noise of a frame.
        adc: offset (ADU); that of the preset or file by default.

    Raises:
        InputError: a value that cannot be; names the field.
        FileFormatError: the file is not TOML, or has other fields.
    """
    base, modules, width_um, from_file = _base(said)
    changes = {stage: value for name, stage in _STAGES.items() if (value := getattr(said, name)) is not None}
    if said.sensor_material is not None or said.sensor_um is not None or said.parallax is not None:
        sensor = base.sensor or Sensor()
        parts = {"material": said.sensor_material, "thickness_um": said.sensor_um, "parallax": said.parallax}
        changes["sensor"] = _made(sensor, {k: v for k, v in parts.items() if v is not None}, _SENSOR)
    if said.psf_fwhm_um is not None:
        if changes.get("spread", base.spread) is None:
            raise InputError("psf_fwhm_um", "there is no point spread", "give -psf gauss or -psf fiber too")
        if not 0.0 < said.psf_fwhm_um < 1e6:
            raise InputError("psf_fwhm_um", f"{said.psf_fwhm_um:g} cannot be", "give a positive width")
        width_um = said.psf_fwhm_um
    if adc is not None:
        changes["adc"] = adc
    made = _made(base, {**changes, "seed": seed % _LARGEST_SEED}, _SAID)
    return Specified(made, modules, width_um, _stop(said), from_file and said.sensor_material is None)


_SENSOR = {"material": "sensor_material", "thickness_um": "sensor_um"}


def _base(said: ResponseConfig) -> tuple[DetectorResponse, Modules | None, float | None, bool]:
    if said.response_file is not None:
        if said.response is not None:
            raise InputError("response_file", "a name and a file", "give one of them")
        return _read(said.response_file), None, None, True
    name = said.response or "photons"
    if name not in PRESETS:
        raise InputError("response", f"{name!r} is not known", f"use one of {', '.join(PRESETS)}, or a .toml file")
    found = preset(name)
    return found.response, found.modules, found.width_um, False


def _read(name: str) -> DetectorResponse:
    from nanobrag_torch.io.files import read_bytes

    try:
        table = tomllib.loads(read_bytes(name).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileFormatError(name, "", f"not TOML: {error}") from error
    try:
        return response_from(table)
    except InputError as error:
        raise FileFormatError(name, error.field, f"{error.problem}; {error.advice}") from error


def _stop(said: ResponseConfig) -> tuple[float, float, float] | None:
    if said.beamstop_radius_mm is None:
        for name in ("beamstop_edge_mm", "beamstop_transmission"):
            if getattr(said, name) is not None:
                raise InputError(name, "there is no beam stop", "give -beamstop RADIUS too")
        return None
    edge = DEFAULT_EDGE_MM if said.beamstop_edge_mm is None else said.beamstop_edge_mm
    passes = said.beamstop_transmission or 0.0
    for name, value, low, high in (
        ("beamstop_radius_mm", said.beamstop_radius_mm, 1e-6, 1e4),
        ("beamstop_edge_mm", edge, 1e-6, 1e4),
        ("beamstop_transmission", passes, 0.0, 1.0),
    ):
        if not low <= value <= high:
            raise InputError(name, f"{value:g} cannot be", f"give {low:g} to {high:g}")
    return said.beamstop_radius_mm, edge, passes


def _made(base: Any, changes: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """A changed copy; what cannot be is told by the name that the user knows."""
    try:
        return replace(base, **changes)
    except InputError as error:
        raise InputError(names.get(error.field, error.field), error.problem, error.advice) from error


def placed(specified: Specified, experiment: Experiment, panel: Panel, exposure_s: float) -> DetectorResponse:
    """The response on a panel: where the sensor, the beam stop and the gaps are, and the point spread in pixels.

    Raises:
        InputError: a sensor that the scene has already, or a value that cannot be on this panel.
    """
    from nanobrag_torch.pipeline.render import panel_frame_of

    response = replace(specified.response, exposure_s=exposure_s)
    pixel = float(panel.pixel_size.detach())
    frame = panel_frame_of(panel, experiment.beam.direction, experiment.physics == "exact")
    if response.sensor is not None and not specified.placed:
        if panel.layers > 1 or float(panel.layer_step) > 0.0:
            problem = "the scene has a sensor of its own (-detector_thick)"
            raise InputError("sensor_material", problem, "leave one of them out, so that no photon is absorbed twice")
        sensor = replace(
            response.sensor,
            wavelength_A=float(experiment.beam.wavelength.detach()),
            distance_mm=mm_from_metres(float(frame.close_distance)),
            pixel_mm=mm_from_metres(pixel),
            beam_f=float(frame.near_point[0]) / pixel,
            beam_s=float(frame.near_point[1]) / pixel,
        )
        response = replace(response, sensor=sensor)
    if specified.stop_mm is not None:
        radius, edge, passes = specified.stop_mm
        f, s = (float(x) / pixel for x in frame.beam_centre)
        unit = mm_from_metres(pixel)
        response = replace(response, stop=BeamStop(f, s, radius / unit, edge / unit, passes))
    if specified.width_um is not None:
        response = replace(response, width=float(metres_from_um(specified.width_um)) / pixel)
    if specified.modules is not None:
        response = replace(response, gaps=gaps_of(specified.modules, (panel.pixels_f, panel.pixels_s)))
    return response


def record_image(image: Image, config: Config) -> tuple[Recorded, ...]:
    """The counts that a detector stores of an image, panel by panel.

    Args:
        image: of expected photons.
        config: whose `response` it is, with the seed of the noise, the offset and the exposure.

    Raises:
        InputError: a value that cannot be, or a response that does not fit the detector.
    """
    import numpy as np

    from nanobrag_torch.detector.record import record

    found, offset = [], 0
    for response, values in zip(_responses(image.experiment, config), image.numpy(), strict=True):
        try:
            found.append(record(values.astype(np.float64), response, offset=offset))
        except InputError as error:
            raise InputError(_SAID.get(error.field, error.field), error.problem, error.advice) from error
        offset += values.size
    return tuple(found)


def _responses(experiment: Experiment, config: Config) -> list[DetectorResponse]:
    """The response of every panel."""
    specified = response_of(config.response, config.output.noise_seed or 0, config.output.adc)
    if experiment.detector.curved and specified.response.sensor is not None:
        raise InputError("sensor_material", "the detector is curved", "a sensor needs flat panels")
    exposure = 1.0 if config.beam.exposure_s is None else float(config.beam.exposure_s)
    return [placed(specified, experiment, panel, exposure) for panel in experiment.detector.panels]


def defects(experiment: Experiment, config: Config) -> tuple[int, tuple[NDArray[np.int32], ...]]:
    """The largest count, and per panel the `nexus_mask` [slow, fast], which all frames of a detector share."""
    from nanobrag_torch.detector.stages import mask_of

    responses, masks, offset = _responses(experiment, config), [], 0
    for panel, response in zip(experiment.detector.panels, responses, strict=True):
        shape = (panel.pixels_s, panel.pixels_f)
        masks.append(nexus_mask(mask_of(shape, response, offset)))
        offset += shape[0] * shape[1]
    return responses[0].largest, tuple(masks)


def nexus_mask(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Bits of `pixel_mask` in NeXus [slow, fast]: 1 = no pixel, 2 = dead, 8 = too sensitive (hot)."""
    import numpy as np

    from nanobrag_torch.detector.stages import DEAD, GAP, HOT

    bits = np.zeros(mask.shape, dtype=np.int32)
    for kind, bit in ((GAP, 1), (DEAD, 2), (HOT, 8)):
        bits[mask == kind] |= bit
    return bits
