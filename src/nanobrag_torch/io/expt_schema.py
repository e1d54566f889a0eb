"""What an experiment list of DIALS (`.expt`, JSON) may say: every known key with the values that it takes.

Unknown keys are free. A key that is `null` is as good as missing. The first value that does not fit is named with
its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.reading import PathLike, read_json

LIST = "ExperimentList"
MODELS = ("beam", "detector", "goniometer", "scan", "crystal", "imageset")
LARGEST = 2**31 - 1
"""Whole numbers stay below what readers keep in 32 bits."""
HUGE = 1e100
"""Sizes beyond which a number cannot be squared and summed without care, and cannot be meant."""
_SQUARE = 0.01
"""Largest cosine of axes that are to be perpendicular."""


@dataclass(frozen=True)
class Rule:
    """What a key takes: words for the message, a test, and whether the key has to be there."""

    wanted: str
    fits: Callable[[Any], bool]
    needed: bool = False


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number, not of an absurd size (`true` is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= HUGE


def is_whole(value: object) -> bool:
    """Whether a value of JSON is a whole number of 32 bits; 8.0 is one, 8.5 is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        return False
    return value == int(value)


def _several(count: int, each: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == count and all(map(each, value))


def _any_number_of(each: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(each, value))


def _direction(value: Any) -> bool:
    return _several(3, is_number)(value) and 0 < math.hypot(*value) < math.inf


def _turn(value: Any) -> bool:
    if not _several(9, is_number)(value):
        return False
    matrix = np.array(value, dtype=np.float64).reshape(3, 3)
    return bool(np.abs(matrix).max() < 2 and np.abs(matrix @ matrix.T - np.eye(3)).max() < _SQUARE)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _not_negative(value: Any) -> bool:
    return is_number(value) and value >= 0


NUMBER = Rule("a finite number", is_number)
POSITIVE = Rule("a positive number", _positive)
NOT_NEGATIVE = Rule("a number that is not negative", _not_negative)
FRACTION = Rule("a number from 0 to 1", lambda x: is_number(x) and 0 <= x <= 1)
WHOLE = Rule("a whole number", is_whole)
PLACE = Rule("a number of a model, from 0", lambda x: is_whole(x) and x >= 0)
TEXT = Rule("text", _text)
NAME = Rule("text, or a list of it", lambda x: _text(x) or _any_number_of(_text)(x))
OBJECT = Rule("an object", _object)
NUMBERS = Rule("a list of finite numbers", _any_number_of(is_number))
VECTOR = Rule("3 finite numbers", _several(3, is_number), needed=True)
DIRECTION = Rule("3 finite numbers that are not all zero", _direction)
AXIS = Rule(DIRECTION.wanted, _direction, needed=True)
TURN = Rule("the 9 numbers of a rotation", _turn)
PAIR = Rule("2 finite numbers", _several(2, is_number))
MATRICES = Rule("a list of 9 finite numbers each", _any_number_of(_several(9, is_number)))

BEAM = {
    "__id__": TEXT,
    "direction": AXIS,
    "wavelength": POSITIVE,
    "wavelength_range": Rule(
        "2 positive numbers, the smaller first", lambda x: _several(2, _positive)(x) and x[0] <= x[1]
    ),
    "divergence": NOT_NEGATIVE,
    "sigma_divergence": NOT_NEGATIVE,
    "polarization_normal": DIRECTION,
    "polarization_fraction": FRACTION,
    "flux": NOT_NEGATIVE,
    "transmission": NUMBER,
    "s0_at_scan_points": Rule("a list of directions", _any_number_of(_direction)),
}
FRAME = {"fast_axis": AXIS, "slow_axis": AXIS, "origin": VECTOR}
PANEL = {
    **FRAME,
    "name": TEXT,
    "type": TEXT,
    "raw_image_offset": Rule("2 whole numbers", _several(2, is_whole)),
    "image_size": Rule(
        "2 positive whole numbers", _several(2, lambda x: is_whole(x) and 0 < x <= 100_000), needed=True
    ),
    "pixel_size": Rule("2 positive numbers", _several(2, _positive), needed=True),
    "trusted_range": Rule("2 finite numbers, the smaller first", lambda x: PAIR.fits(x) and x[0] <= x[1]),
    "thickness": NOT_NEGATIVE,
    "material": TEXT,
    "mu": NOT_NEGATIVE,
    "identifier": TEXT,
    "mask": Rule("a list of 4 whole numbers each", _any_number_of(_several(4, is_whole))),
    "gain": POSITIVE,
    "pedestal": NUMBER,
    "px_mm_strategy": OBJECT,
}
GONIOMETER = {
    "rotation_axis": DIRECTION,
    "fixed_rotation": TURN,
    "setting_rotation": TURN,
    "axes": Rule("a list of directions", lambda x: _any_number_of(_direction)(x) and bool(x)),
    "angles": NUMBERS,
    "names": Rule("a list of text", _any_number_of(_text)),
    "scan_axis": WHOLE,
    "setting_rotation_at_scan_points": MATRICES,
}
SCAN = {
    "image_range": Rule("2 whole numbers, the smaller first", lambda x: _several(2, is_whole)(x) and x[0] <= x[1]),
    "batch_offset": WHOLE,
    "oscillation": PAIR,
    "exposure_time": NUMBERS,
    "epochs": NUMBERS,
    "properties": OBJECT,
    "valid_image_ranges": OBJECT,
}
PROPERTIES = {
    "oscillation": Rule("a list of finite numbers, at least one", lambda x: NUMBERS.fits(x) and bool(x)),
    "oscillation_width": Rule("a list of finite numbers, at least one", lambda x: NUMBERS.fits(x) and bool(x)),
    "exposure_time": NUMBERS,
    "epochs": NUMBERS,
}
CRYSTAL = {
    "__id__": TEXT,
    "real_space_a": VECTOR,
    "real_space_b": VECTOR,
    "real_space_c": VECTOR,
    "space_group_hall_symbol": TEXT,
    "A_at_scan_points": MATRICES,
    "B_covariance": Rule("81 finite numbers", _several(81, is_number)),
    "mosaicity": NOT_NEGATIVE,
    "ML_half_mosaicity_deg": NOT_NEGATIVE,
    "ML_domain_size_ang": NOT_NEGATIVE,
}
IMAGESET = {
    "__id__": TEXT,
    "template": TEXT,
    "images": Rule("a list of text", _any_number_of(_text)),
    "single_file_indices": Rule("a list of whole numbers", _any_number_of(lambda x: is_whole(x) and x >= 0)),
    "mask": NAME,
    "gain": NAME,
    "pedestal": NAME,
    "dx": NAME,
    "dy": NAME,
    "params": OBJECT,
}
EXPERIMENT = {"identifier": TEXT, **dict.fromkeys(MODELS, PLACE)}
RULES = {"beam": BEAM, "goniometer": GONIOMETER, "scan": SCAN, "crystal": CRYSTAL, "imageset": IMAGESET}


def load_expt(path: PathLike) -> dict[str, Any]:
    """The content of an experiment list, every known value checked.

    Raises:
        FileFormatError: missing, not JSON, not an experiment list, no experiment, a reference to a model that is not
            there, or a value that does not fit.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("__id__") != LIST:
        raise FileFormatError(path, "", f'not an experiment list of DIALS: expected "__id__": "{LIST}"')
    for where, problem in problems(content):
        raise FileFormatError(path, where, problem)
    return dict(content)


def problems(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Place and description of everything in an experiment list that does not fit."""
    experiments = content.get("experiment")
    if not isinstance(experiments, list) or not experiments:
        yield "", "it holds no experiment"
        return
    for kind in MODELS:
        models = content.get(kind)
        if models is not None and not isinstance(models, list):
            yield kind, f"it is {_short(models)}, expected a list of models"
            return
    for number, experiment in enumerate(experiments):
        yield from _experiment(f"experiment {number}", experiment, content)
    for kind, rules in RULES.items():
        for number, model in enumerate(content.get(kind) or []):
            yield from _model(f"{kind} {number}", kind, model, rules)
    for number, model in enumerate(content.get("detector") or []):
        yield from _detector(f"detector {number}", model)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _misfits(where: str, model: object, rules: Mapping[str, Rule]) -> Iterator[tuple[str, str]]:
    if not isinstance(model, dict):
        yield where, f"it is {_short(model)}, expected an object"
        return
    for key, rule in rules.items():
        value = model.get(key)
        if value is None:
            if rule.needed:
                yield where, f"{key} is missing, expected {rule.wanted}"
        elif not _fits(rule, value):
            yield where, f"{key} is {_short(value)}, expected {rule.wanted}"


def _fits(rule: Rule, value: object) -> bool:
    try:
        return bool(rule.fits(value))
    except OverflowError:
        return False


def _experiment(where: str, experiment: object, content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _misfits(where, experiment, EXPERIMENT)
    if not isinstance(experiment, dict):
        return
    missing = [kind for kind in ("beam", "detector") if experiment.get(kind) is None]
    if missing:
        yield where, f"it has no {' and no '.join(missing)}"
    for kind in MODELS:
        index = experiment.get(kind)
        if index is not None and not 0 <= index < len(content.get(kind) or []):
            yield where, f"it refers to {kind} {index}, which is not in the file"


def _model(where: str, kind: str, model: object, rules: Mapping[str, Rule]) -> Iterator[tuple[str, str]]:
    found = list(_misfits(where, model, rules))
    yield from found
    if not found and isinstance(model, dict):
        yield from ((where, problem) for problem in _TOGETHER[kind](model))


def _beam(model: dict[str, Any]) -> Iterator[str]:
    if model.get("wavelength") is None and model.get("wavelength_range") is None:
        yield f"wavelength is missing, expected {POSITIVE.wanted}"
    normal = model.get("polarization_normal")
    if normal is not None:
        cross = np.cross(_unit(normal), _unit(model["direction"]))
        if np.linalg.norm(cross) < 1e-6:
            yield "polarization_normal lies along the beam"


def _goniometer(model: dict[str, Any]) -> Iterator[str]:
    axes = model.get("axes")
    if axes is None:
        if model.get("rotation_axis") is None:
            yield f"rotation_axis is missing, expected {DIRECTION.wanted}"
        return
    scan, angles = model.get("scan_axis"), model.get("angles")
    if scan is None or not 0 <= scan < len(axes):
        yield f"scan_axis is {scan!r}, expected the number of one of its axes, from 0 to {len(axes) - 1}"
    if angles is None or len(angles) != len(axes):
        yield f"angles is {_short(angles)}, expected {len(axes)} finite numbers"


def _scan(model: dict[str, Any]) -> Iterator[str]:
    properties = model.get("properties") or {}
    yield from (problem for _, problem in _misfits("", properties, PROPERTIES))
    images = model.get("image_range")
    starts = properties.get("oscillation")
    if images is not None and isinstance(starts, list) and len(starts) != images[1] - images[0] + 1:
        yield f"oscillation has {len(starts)} values, expected {images[1] - images[0] + 1}, one for every image"


def _crystal(model: dict[str, Any]) -> Iterator[str]:
    cell = np.array([model[f"real_space_{x}"] for x in "abc"], dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(cell, axis=1)
        flat = not (lengths.all() and abs(np.linalg.det(cell / np.where(lengths, lengths, 1)[:, None])) > 1e-6)
    if flat or not np.isfinite(lengths).all():
        yield "its cell vectors lie in a plane"
    for number, values in enumerate(model.get("A_at_scan_points") or []):
        matrix = np.array(values, dtype=np.float64).reshape(3, 3)
        size = np.abs(matrix).max()
        if not 0 < size < math.inf or abs(np.linalg.det(matrix / size)) < 1e-9:
            yield f"A_at_scan_points has vectors that lie in a plane at point {number}"


def _imageset(model: dict[str, Any]) -> Iterator[str]:
    images, indices = model.get("images"), model.get("single_file_indices")
    if images is not None and indices is not None and len(indices) != len(images):
        yield f"single_file_indices has {len(indices)} values, expected {len(images)}, one for every image"


_TOGETHER: Mapping[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "beam": _beam,
    "goniometer": _goniometer,
    "scan": _scan,
    "crystal": _crystal,
    "imageset": _imageset,
}
"""What the values of a model have to be together, once each of them fits."""


def _unit(vector: Any) -> Any:
    return np.asarray(vector, dtype=np.float64) / math.hypot(*vector)


def _detector(where: str, model: object) -> Iterator[tuple[str, str]]:
    if not isinstance(model, dict) or not isinstance(model.get("panels"), list) or not model["panels"]:
        yield where, "it has no panels"
        return
    for number, panel in enumerate(model["panels"]):
        yield from _frame(f"{where}, panel {number}", panel, PANEL)
    if model.get("hierarchy") is not None:
        panels: list[int] = []
        yield from _node(f"{where}, hierarchy", model["hierarchy"], len(model["panels"]), panels)
        twice = [a for a, b in pairwise(sorted(panels)) if a == b]
        if twice:
            yield f"{where}, hierarchy", f"panel {twice[0]} stands in it twice"


def _frame(where: str, model: object, rules: Mapping[str, Rule]) -> Iterator[tuple[str, str]]:
    found = list(_misfits(where, model, rules))
    yield from found
    if not found and isinstance(model, dict):
        cosine = float(_unit(model["fast_axis"]) @ _unit(model["slow_axis"]))
        if abs(cosine) > _SQUARE:
            yield where, f"fast_axis and slow_axis are not perpendicular, their cosine is {cosine:.3g}"


def _node(where: str, node: object, count: int, panels: list[int]) -> Iterator[tuple[str, str]]:
    """A group of a hierarchy and all below it; the panels that it holds are noted."""
    yield from _frame(where, node, FRAME)
    children = node.get("children") if isinstance(node, dict) else None
    if children is None:
        return
    if not isinstance(children, list):
        yield where, f"children is {_short(children)}, expected a list"
        return
    for number, child in enumerate(children):
        index = child.get("panel") if isinstance(child, dict) else None
        if index is None:
            yield from _node(f"{where}, child {number}", child, count, panels)
        elif not is_whole(index) or not 0 <= index < count:
            yield where, f"it refers to panel {_short(index)}, which is not in the file"
        else:
            panels.append(int(index))
