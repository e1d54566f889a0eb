"""Many variants of one scene at a time: settled together, rendered in one call of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels import op
from nanobrag_torch.kernels.packing import PackedScene, pack_scene
from nanobrag_torch.kernels.pixel_sum import why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline.compose import render_scene
from nanobrag_torch.pipeline.jacobian import check_names
from nanobrag_torch.pipeline.prepared import PreparedScene
from nanobrag_torch.pipeline.render import RenderOptions, limited, pixel_factors, pixel_scene

DOUBLE = torch.float64


def check_variants(experiment: Experiment, variants: Mapping[str, Tensor]) -> int:
    """The number of variants.

    Raises:
        InputError: a quantity that does not exist or that the experiment does not have, or values of another shape.
    """
    check_names(experiment, list(variants))
    counts = {name: len(values) if values.dim() else -1 for name, values in variants.items()}
    for name, values in variants.items():
        wanted = QUANTITIES[name].take(experiment).shape
        if values.dim() == 0 or values.shape[1:] != wanted or values.dtype != DOUBLE:
            form = ", ".join(["B", *map(str, wanted)])
            raise InputError(name, f"{list(values.shape)} of {values.dtype}", f"give [{form}] of torch.float64")
        if counts[name] != next(iter(counts.values())):
            raise InputError(name, f"{counts[name]} values, but {counts} in all", "give the same number of each")
    return next(iter(counts.values()))


def variant(experiment: Experiment, values: Mapping[str, Tensor]) -> Experiment:
    """The experiment with one value of each quantity."""
    for name, value in values.items():
        experiment = QUANTITIES[name].put(experiment, value)
    return experiment


def panel_variants(
    experiment: Experiment,
    variants: Mapping[str, Tensor],
    panel_index: int,
    pixels: Tensor | None,
    options: RenderOptions,
    prepared: PreparedScene | None = None,
) -> Tensor:
    """Values [B, P] in photons of pixels (`None`: all) of one panel for every variant, in the options' `out_dtype`.

    Where one call of the kernel cannot serve, one variant is rendered after another. `prepared` is the experiment,
    if it can be prepared: what no variant touches is taken from it.
    """
    count = len(next(iter(variants.values())))
    if not _served(experiment, panel_index, options, prepared):
        members = ({name: values[number] for name, values in variants.items()} for number in range(count))
        images = [render_scene(variant(experiment, member), panel_index, pixels, options).values for member in members]
        return torch.stack(images)
    panel = experiment.detector.panels[panel_index]
    span = [0, panel.pixels_s * panel.pixels_f] if pixels is None else [0, len(pixels)]
    packed, factors = _settled_together(experiment, variants, panel_index, options, prepared)
    packed = packed.to(options.device)
    factors = factors.to(options.device)
    pixels = None if pixels is None else pixels.to(options.device)
    has_background = packed.has_background
    direct = not has_background and not factors.requires_grad
    scales = factors[:, 0].contiguous() if direct else factors.new_ones(count)
    single = direct and options.out_dtype == torch.float32
    total, background = op.pixel_sum_many(*packed.tensors, pixels, span, packed.config, scales, single, has_background)
    if direct:
        values: Tensor = total
        return values.to(options.out_dtype)
    values = factors[:, :1] * total
    if has_background:
        values = values + factors[:, 1:] * background
    return values.to(options.out_dtype)


def _served(experiment: Experiment, panel_index: int, options: RenderOptions, prepared: PreparedScene | None) -> bool:
    """Whether the fused kernel does the scene of a panel.

    Raises:
        BackendUnavailable: there is a tolerance, and the kernel that keeps to it cannot serve.
    """
    if prepared is not None:
        return prepared.panel(panel_index) is not None
    if not experiment.is_simple:
        return False
    scene = limited(pixel_scene(experiment, panel_index), experiment, options)
    return why_not(scene, dtype=options.dtype, backend=options.backend, device=options.device) is None


def _settled_together(
    experiment: Experiment,
    variants: Mapping[str, Tensor],
    panel_index: int,
    options: RenderOptions,
    prepared: PreparedScene | None,
) -> tuple[PackedScene, Tensor]:
    """The packed scene with a first axis of B, or of 1 where nothing varies; factors [B, 2] of total and background."""
    limit = 0.0
    if options.tolerance > 0.0:  # the same for all: that of the brightest
        scales = torch.vmap(lambda values: pixel_factors(variant(experiment, values))[0])(dict(variants))
        limit = options.tolerance / float(scales.detach().abs().max())
    shared: dict[int, Tensor] = {}
    facts: list[PackedScene] = []

    def settle(values: dict[str, Tensor]) -> tuple[dict[int, Tensor], Tensor]:
        changed = variant(experiment, values)
        packed = _packed(changed, panel_index, options.dtype, limit, prepared)
        facts.append(packed)
        varied = {i: t for i, t in enumerate(packed.tensors) if torch._C._functorch.is_batchedtensor(t)}
        shared.update({i: t for i, t in enumerate(packed.tensors) if i not in varied})
        return varied, pixel_factors(changed)

    varied, factors = torch.vmap(settle)(dict(variants))
    places = range(len(facts[0].tensors))
    geometry, sources, A, lattice, table = (varied[i] if i in varied else shared[i][None] for i in places)
    return facts[0]._replace(tensors=(geometry, sources, A, lattice, table)), factors


def _packed(
    changed: Experiment, panel_index: int, dtype: torch.dtype, limit: float, prepared: PreparedScene | None
) -> PackedScene:
    """The scene of a variant, with all that it has in common with the prepared one taken from there."""
    base = None if prepared is None else prepared.panel(panel_index)
    if prepared is None or base is None or base.packed.device.type != "cpu" or limit > 0.0:
        return pack_scene(replace(pixel_scene(changed, panel_index), limit=limit), dtype)
    first = prepared.experiment
    same_crystal = changed.crystal is first.crystal and changed.scan is first.scan
    same_panel = changed.detector is first.detector and changed.beam is first.beam
    made, frame = prepared.crystal if same_crystal else None, base.frame if same_panel else None
    return pack_scene(
        pixel_scene(changed, panel_index, made, frame),
        dtype,
        crystal=base.packed if same_crystal else None,
        panel=base.packed if same_panel else None,
        table=base.packed.tensors[4] if changed.crystal.structure_factors is first.crystal.structure_factors else None,
    )
