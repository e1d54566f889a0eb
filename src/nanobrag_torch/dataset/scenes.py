"""From image numbers to settled scenes: what a block of images has in common is settled once."""

from __future__ import annotations

import dataclasses
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.config import Config
from nanobrag_torch.dataset.distributions import Rotations
from nanobrag_torch.dataset.draws import draw
from nanobrag_torch.dataset.population import Population
from nanobrag_torch.dataset.variables import IMAGE_ONLY, OWN, PART_OF, PARTS, QUICK_FIELDS
from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.settling import settle
from nanobrag_torch.settling.sampling import recommended_oversample
from nanobrag_torch.settling.shared import SharedInputs
from nanobrag_torch.units import metres_from_angstrom, metres_from_mm, radians_from_degrees

DOUBLE = torch.float64
SCENES_KEPT = 32
CELL_FIELDS = ("cell_a", "cell_b", "cell_c", "cell_alpha", "cell_beta", "cell_gamma")
POSITIVE = {"wavelength": "vary.wavelength_A", "distance": "vary.distance_mm", "cell_lengths": "vary.cell"}


@dataclass(frozen=True)
class Block:
    """Images that share a settled scene.

    Args:
        numbers: [b] of the images.
        base: the scene.
        variants: settled values [b, ...] by quantity, of each image's first crystal.
        drawn: everything that was drawn, [b] or [b, k] or lists [b], by variable.
        lattices: [b] crystals in the beam.
    """

    numbers: tuple[int, ...]
    base: Experiment
    variants: dict[str, Tensor]
    drawn: dict[str, Any]
    lattices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.numbers)


class Scenes:
    """The scenes of a population; files are read once and scenes that images share are settled once."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.inputs = SharedInputs()
        self._kept: OrderedDict[tuple[Any, ...], Experiment] = OrderedDict()
        model = _has_model(population)
        slow = {"wavelength_A", "distance_mm"} if model else set()
        self.quick = [
            name
            for name in population.vary
            if name not in IMAGE_ONLY and name not in slow and (name in QUICK_FIELDS or name in OWN and name != "model")
        ]
        """Variables that are put into a settled scene. With a model, wavelength and distance decide about its table."""
        self.settled = [name for name in population.vary if name not in self.quick and name not in IMAGE_ONLY]
        self._said_oversample = (population.scene.sampling.oversample or 0) > 0 or "oversample" in population.vary
        self._moves_oversample = not self._said_oversample and any(
            name in self.quick for name in ("N", "cell", "cell_change_percent", "wavelength_A", "distance_mm")
        )

    def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """The blocks of some images, in the order of their first image.

        Raises:
            FileFormatError: a scene that cannot be settled, or values that it cannot take; with the line.
        """
        population = self.population
        drawn = {name: draw(population.seed, numbers, name, d) for name, d in population.vary.items()}
        keys = [tuple((name, drawn[name][place]) for name in self.settled) for place in range(len(numbers))]
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, key in enumerate(keys):
            groups.setdefault(key, []).append(place)
        found = []
        for key, places in groups.items():
            found += self._split(self._scene(key), numbers, places, drawn, key)
        return found

    def _split(
        self, base: Experiment, numbers: Sequence[int], places: list[int], drawn: dict[str, Any], key: tuple[Any, ...]
    ) -> list[Block]:
        """Blocks of images of one scene: one, unless they want different numbers of sub-pixels."""
        mine = {name: _rows(values, places) for name, values in drawn.items()}
        variants = self._variants(base, mine, [numbers[p] for p in places])
        rates = [base.sampling.oversample] * len(places)
        if self._moves_oversample:
            rates = _recommended(base, variants)
        found = []
        for rate in dict.fromkeys(rates):
            chosen = [i for i, r in enumerate(rates) if r == rate]
            scene = base.replace(sampling=base.sampling.replace(oversample=rate))
            lattices = mine.get("lattices", [1] * len(places))
            found.append(
                Block(
                    tuple(numbers[places[i]] for i in chosen),
                    scene,
                    {name: values[chosen] for name, values in variants.items()},
                    {name: _rows(values, chosen) for name, values in mine.items()},
                    tuple(int(lattices[i]) for i in chosen),
                )
            )
        return found

    def _scene(self, key: tuple[Any, ...]) -> Experiment:
        """The settled scene with these values of the settled variables; quick ones are in the middle of their range."""
        if key not in self._kept:
            self._kept[key] = self._settle(key)
            if len(self._kept) > SCENES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _settle(self, key: tuple[Any, ...]) -> Experiment:
        config = located(self.population)
        for name in self.quick:
            middle = _middle(self.population, name)
            config = _with(config, name, middle, self.population)
        for name, value in key:
            config = _with(config, name, value, self.population)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NanobragWarning)
                base = settle(config, physics=self.population.physics, inputs=self.inputs(config))
        except InputError as error:
            raise _placed(self.population, error) from error
        for name in self.quick:
            self._check_quick(base, name)
        bare: Experiment = base.replace(notes=(), facts={"config": config})
        return bare

    def _check_quick(self, base: Experiment, name: str) -> None:
        quantity = QUICK_FIELDS.get(name) or OWN[name].quantity
        for row in ("cell_lengths", "cell_angles") if quantity == "cell" else (quantity,):
            objection = QUANTITIES[row].objection(base) if row else None
            if objection is not None:
                raise _complaint(self.population, ("vary", name), f"vary.{name}: {objection}")

    def _variants(self, base: Experiment, drawn: dict[str, Any], numbers: list[int]) -> dict[str, Tensor]:
        """Settled values [b, ...] by quantity; the fluence always among them."""
        count = len(numbers)
        found: dict[str, Tensor] = {}
        for name in self.quick:
            values = drawn[name]
            if name in ("orientation", "misset_deg"):
                found["misset"] = radians_from_degrees(_tensor(values))
            elif name == "N":
                found["N"] = _tensor(values)[:, None].expand(count, 3).contiguous()
            elif name == "beam_shift_mm":
                found["beam_centre"] = QUANTITIES["beam_centre"].take(base) + metres_from_mm(_tensor(values))
            elif name in QUICK_FIELDS:
                found[QUICK_FIELDS[name]] = _settled_units(name, _tensor(values))
        found |= self._cells(base, drawn, count)
        if "fluence" not in found:
            found["fluence"] = base.beam.fluence.expand(count).clone()
        for quantity, place in POSITIVE.items():
            bad = ~(found[quantity].reshape(count, -1) > 0).all(1) if quantity in found else torch.zeros(1)
            if bool(bad.any()):
                number = numbers[int(torch.argmax(bad.to(torch.int8)))]
                where = tuple(place.split("."))
                raise _complaint(
                    self.population, where, f"{place}: image {number} would have a value that is not positive"
                )
        return found

    def _cells(self, base: Experiment, drawn: dict[str, Any], count: int) -> dict[str, Tensor]:
        changing = [name for name in ("cell", "cell_change_percent", "cell_change_deg") if name in self.quick]
        if not changing:
            return {}
        assert base.crystal.cell is not None
        lengths, angles = (part.expand(count, 3) for part in (base.crystal.cell[:3], base.crystal.cell[3:]))
        found = {}
        if "cell" in drawn:
            cells = _tensor(drawn["cell"])
            lengths, angles = cells[:, :3], radians_from_degrees(cells[:, 3:])
        if "cell_change_percent" in drawn:
            lengths = lengths * (1.0 + _tensor(drawn["cell_change_percent"]) / 100.0)
        if "cell_change_deg" in drawn:
            angles = angles + radians_from_degrees(_tensor(drawn["cell_change_deg"]))
        if "cell" in drawn or "cell_change_percent" in drawn:
            found["cell_lengths"] = lengths.contiguous()
        if "cell" in drawn or "cell_change_deg" in drawn:
            found["cell_angles"] = angles.contiguous()
            cos = torch.cos(angles)
            skew = 1.0 - (cos * cos).sum(1) + 2.0 * cos.prod(1)
            if bool((skew <= 0).any()):
                raise _complaint(
                    self.population, ("vary", changing[-1]), f"vary.{changing[-1]}: no cell has such angles"
                )
        return found


def further_crystals(population: Population, block: Block, lattice: int) -> tuple[list[int], dict[str, Tensor]]:
    """Places in a block of the images with more than `lattice` crystals, and their variants for that crystal."""
    places = [i for i, count in enumerate(block.lattices) if count > lattice]
    if not places:
        return [], {}
    numbers = [block.numbers[i] for i in places]
    variants = {name: values[places] for name, values in block.variants.items()}
    turned = draw(population.seed, numbers, "orientation", Rotations(), f"lattice {lattice}")
    variants["misset"] = radians_from_degrees(_tensor(turned))
    if "lattice_weight" in population.vary:
        weights = draw(
            population.seed, numbers, "lattice_weight", population.vary["lattice_weight"], f"lattice {lattice}"
        )
        variants["fluence"] = variants["fluence"] * _tensor(weights)
    return places, variants


def located(population: Population) -> Config:
    """The base configuration with its files where they are."""
    config = population.scene
    slabs = config.background.materials
    if slabs is not None:
        moved_slabs = tuple(
            dataclasses.replace(s, table=population.located(s.table)) if isinstance(s.table, str) else s for s in slabs
        )
        config = dataclasses.replace(config, background=dataclasses.replace(config.background, materials=moved_slabs))
    for part in PARTS:
        said = getattr(config, part)
        names = {f.name: getattr(said, f.name) for f in dataclasses.fields(said) if f.name.endswith("_file")}
        moved = {name: population.located(value) for name, value in names.items() if value is not None}
        config = dataclasses.replace(config, **{part: dataclasses.replace(said, **moved)})
    return config


def _with(config: Config, name: str, value: Any, population: Population) -> Config:
    """The configuration with the value of a variable."""
    if name == "model":
        fields: dict[str, Any] = {"crystal": _model_fields(population.located(value))}
    elif name == "orientation":
        fields = {}
    elif name == "N":
        fields = {"crystal": {"Na": float(value), "Nb": float(value), "Nc": float(value)}}
    elif name == "cell":
        fields = {"crystal": dict(zip(CELL_FIELDS, value, strict=True))}
    elif name in PART_OF:
        plain = population.located(value) if name.endswith("_file") else value
        plain = plain.item() if hasattr(plain, "item") else plain
        fields = {PART_OF[name]: {name: plain}}
    else:
        fields = {}
    return dataclasses.replace(
        config, **{part: dataclasses.replace(getattr(config, part), **given) for part, given in fields.items()}
    )


def _model_fields(path: str) -> dict[str, Any]:
    """The fields of a model or a file of amplitudes."""
    from nanobrag_torch.io.amplitude_files import CIF, MTZ, amplitude_format

    bare = path.lower().removesuffix(".gz")
    kind = amplitude_format(path)
    atoms = bare.endswith((".pdb", ".ent"))
    if kind == CIF and not atoms:
        with open(path, "rb") as file:
            atoms = b"_atom_site." in file.read()
    field = "model_file" if atoms and kind != MTZ else "hkl_file"
    return {"model_file": None, "hkl_file": None, field: path}


def _has_model(population: Population) -> bool:
    if population.scene.crystal.model_file is not None:
        return True
    distribution = population.vary.get("model") or population.vary.get("model_file")
    names = getattr(distribution, "of", ()) or (getattr(distribution, "value", None),)
    return any(isinstance(name, str) and not name.lower().endswith((".mtz", ".hkl")) for name in names)


def _middle(population: Population, name: str) -> Any:
    """The value of a variable whose deviates are all in the middle."""
    distribution = population.vary[name]
    u = np.full((1, max(distribution.deviates, 1)), 0.5)
    if distribution.deviates == 2:  # a normal deviate of 0
        u = np.array([[0.5, 0.25]])
    return distribution.values(u)[0]


def _recommended(base: Experiment, variants: dict[str, Tensor]) -> list[int]:
    """Sub-pixels per side of each image, as `settle` recommends them."""
    from nanobrag_torch.numerics import norm
    from nanobrag_torch.pipeline.render import lattice_of, panel_frame_of

    exact, found = base.physics == "exact", []
    for place in range(len(variants["fluence"])):
        one = base
        for name, values in variants.items():
            one = QUANTITIES[name].put(one, values[place])
        extents = norm(metres_from_angstrom(lattice_of(one.crystal, exact).direct)) * one.crystal.N
        rates = [
            recommended_oversample(
                extents, one.beam.wavelength, panel_frame_of(p, one.beam.direction, exact).distance, p.pixel_size
            )
            for p in one.detector.panels
        ]
        found.append(max(rates))
    return found


def _settled_units(name: str, values: Tensor) -> Tensor:
    if name.endswith("_deg"):
        return radians_from_degrees(values)
    return metres_from_mm(values) if name.endswith("_mm") else values


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


def _rows(values: Any, places: Sequence[int]) -> Any:
    return values[list(places)] if isinstance(values, np.ndarray) else [values[i] for i in places]


def _placed(population: Population, error: InputError) -> FileFormatError:
    """An error of `settle` with the line of the description that says the field."""
    field = error.field.lstrip("-")
    for place in (("vary", field), ("scene", field), ("scene",)):
        if place in population.lines:
            return _complaint(population, place, str(error))
    return _complaint(population, ("scene",), str(error))


def _complaint(population: Population, place: tuple[str, ...], problem: str) -> FileFormatError:
    line = population.lines.get(place)
    return FileFormatError(population.path, "" if line is None else f"line {line}", problem)
