"""Sliders in a notebook: orientation, distance, wavelength and mosaic spread, with the image following.

Needs ipywidgets, the extra `notebook` of the package.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.io.picture import BLACK_PERCENTILE, png_bytes, shrunk

if TYPE_CHECKING:
    import torch

    from nanobrag_torch.models import Experiment, Mosaic

_LOOK = {"style": {"description_width": "11em"}, "readout_format": ".4g"}
SHOWN_PIXELS = 512
"""Longest edge of a picture; of a larger image the brightest of several pixels is shown."""
EVEN_DOMAINS = 16
"""Mosaic domains that stand for a spread that the experiment itself does not have."""
_TURN_DEG, _FARTHEST, _WIDEST_DEG = 15.0, 2.0, 2.0


@dataclass(frozen=True)
class Control:
    """What a slider moves.

    Args:
        name: the key of `Explorer.sliders`.
        text: its label, with the unit.
        low, high, step, start: its range and where it stands at first, in the unit of the label.
        put: the experiment with another value.
    """

    name: str
    text: str
    low: float
    high: float
    step: float
    start: float
    put: Callable[[Experiment, float], Experiment]


def explore(
    experiment: Experiment, *, oversample: int = 1, device: str | None = None, dtype: torch.dtype | str = "float32"
) -> Explorer:
    """Sliders for an experiment, and its image following them; shows itself at the end of a notebook cell.

    Args:
        experiment: where the sliders start.
        oversample: sub-pixels along each edge; one is quick, more show spots that are smaller than a pixel.
        device: `cpu` or `cuda`.
        dtype: precision of the image.

    Raises:
        InputError: ipywidgets is not installed, or `oversample` is not positive.
    """
    if oversample < 1:
        raise InputError("oversample", str(oversample), "give a whole number from 1")
    return Explorer(experiment.replace(oversample=oversample), device, dtype)


class Explorer:
    """Sliders and the image they make. `sliders` holds the widgets by name, `experiment` what they say now."""

    def __init__(self, experiment: Experiment, device: str | None, dtype: torch.dtype | str) -> None:
        widgets = _widgets()
        self._start, self._device, self._dtype = experiment, device, dtype
        self._controls = controls(experiment)
        self.sliders: dict[str, Any] = {c.name: _slider(widgets, c) for c in self._controls}
        self._contrast = widgets.FloatSlider(
            BLACK_PERCENTILE, min=95.0, max=100.0, step=0.05, description="black at (percentile)", **_LOOK
        )
        self.images: list[Any] = [widgets.Image(format="png") for _ in experiment.detector.panels]
        self.line: Any = widgets.Label()
        self._reset = widgets.Button(description="reset")
        self._reset.on_click(lambda _: self.reset())
        for slider in (*self.sliders.values(), self._contrast):
            slider.observe(self._follow, names="value")
        for slider in (*self.sliders.values(), self._contrast):
            slider.layout.width = "30em"
        left = widgets.VBox([*self.sliders.values(), self._contrast, self._reset, self.line])
        self.widget: Any = widgets.HBox([left, widgets.HBox(self.images)], layout=widgets.Layout(flex_flow="row wrap"))
        self.seconds = 0.0
        self._held = False
        self.draw()

    @property
    def experiment(self) -> Experiment:
        """The experiment that the sliders say."""
        made = self._start
        for control in self._controls:
            value = float(self.sliders[control.name].value)
            if value != control.start:
                made = control.put(made, value)
        return made

    def draw(self) -> None:
        """Render what the sliders say and show it; `seconds` tells how long that took."""
        import torch

        from nanobrag_torch.pipeline.simulator import Simulator

        began = time.perf_counter()
        simulator = Simulator(self.experiment, device=self._device, dtype=self._dtype)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NanobragWarning)  # a slider may leave the table of amplitudes
            panels = simulator.run(out_dtype=torch.float32).numpy()
        for widget, values in zip(self.images, panels, strict=True):
            widget.value = png_bytes(shrunk(values, SHOWN_PIXELS), black=float(self._contrast.value))
        self.seconds = time.perf_counter() - began
        total, most = sum(float(v.sum()) for v in panels), max(float(v.max()) for v in panels)
        self.line.value = f"{total:.4g} photons, brightest pixel {most:.4g}, rendered in {1000 * self.seconds:.0f} ms"

    def reset(self) -> None:
        """Put every slider where it was at first."""
        self._held = True
        for control in self._controls:
            self.sliders[control.name].value = control.start
        self._held = False
        self.draw()

    def _follow(self, _: object) -> None:
        if not self._held:
            self.draw()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def controls(experiment: Experiment) -> list[Control]:
    """What can be moved in an experiment; a mosaic spread only where there is one number for it."""
    from nanobrag_torch.models.quantities import QUANTITIES
    from nanobrag_torch.units import degrees_from_radians, mm_from_metres

    wavelength = float(QUANTITIES["wavelength"].take(experiment))
    distance = mm_from_metres(_distance(experiment))
    made = [_turn(axis) for axis in range(3)]
    made.append(
        Control(
            "distance",
            "distance (mm)",
            distance / _FARTHEST,
            distance * _FARTHEST,
            distance / 500,
            distance,
            lambda e, mm: _at_distance(e, mm - distance),
        )
    )
    made.append(
        Control(
            "wavelength",
            "wavelength (Å)",
            wavelength / _FARTHEST,
            wavelength * _FARTHEST,
            wavelength / 1000,
            wavelength,
            lambda e, value: QUANTITIES["wavelength"].put(e, _tensor(value)),
        )
    )
    mosaic = experiment.crystal.mosaic
    if mosaic.turns is None and mosaic.spreads is None:
        spread = float(degrees_from_radians(mosaic.spread.detach()))
        widest = max(_WIDEST_DEG, 2.0 * spread)
        made.append(Control("mosaic_spread", "mosaic spread (°)", 0.0, widest, 0.01, spread, _with_spread))
    return made


def _turn(axis: int) -> Control:
    """One of the three misset angles, from where it is."""

    def put(experiment: Experiment, degrees: float) -> Experiment:
        from nanobrag_torch.units import radians_from_degrees

        turn = np.zeros(3)
        turn[axis] = radians_from_degrees(degrees)
        return experiment.replace(misset=experiment.crystal.misset.detach() + _tensor(turn))

    letter = "xyz"[axis]
    return Control(f"turn_{letter}", f"rotation about {letter} (°)", -_TURN_DEG, _TURN_DEG, 0.02, 0.0, put)


def _distance(experiment: Experiment) -> float:
    """Metres along the beam to the first panel; along its normal where the beam misses the plane."""
    from nanobrag_torch.pipeline.describe import describe

    scene = describe(experiment)
    along = float(scene.panels[0].meets(scene.beam.direction)[2])
    return along if np.isfinite(along) and along > 0 else abs(float(scene.panels[0].origin @ scene.panels[0].normal))


def _at_distance(experiment: Experiment, further_mm: float) -> Experiment:
    """The detector moved along the beam."""
    from nanobrag_torch.models.quantities import QUANTITIES
    from nanobrag_torch.units import metres_from_mm

    metres = metres_from_mm(further_mm)
    distance = QUANTITIES["distance"]
    if distance.objection(experiment) is None:
        return distance.put(experiment, distance.take(experiment).detach() + metres)
    return QUANTITIES["detector_shift"].put(experiment, experiment.beam.direction.detach() * metres)


def _with_spread(experiment: Experiment, degrees: float) -> Experiment:
    """Another mosaic spread, by the experiment's own domains or, where it has one only, by an even Gaussian set."""
    from dataclasses import replace

    from nanobrag_torch.geometry.low_discrepancy import gaussian_points
    from nanobrag_torch.units import radians_from_degrees

    mosaic: Mosaic = experiment.crystal.mosaic
    changed = replace(mosaic, spread=_tensor(radians_from_degrees(degrees)))
    if mosaic.domains == 1 and degrees > 0:
        changed = replace(changed, vectors=_tensor(gaussian_points(EVEN_DOMAINS)))
    return experiment.replace(crystal=experiment.crystal.replace(mosaic=changed))


def _tensor(values: object) -> torch.Tensor:
    import torch

    return torch.as_tensor(values, dtype=torch.float64)


def _slider(widgets: Any, control: Control) -> Any:
    return widgets.FloatSlider(
        control.start, min=control.low, max=control.high, step=control.step, description=control.text, **_LOOK
    )


def _widgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise InputError("explore", "it needs ipywidgets", "pip install 'nanobrag_torch[notebook]'") from error
    return ipywidgets
