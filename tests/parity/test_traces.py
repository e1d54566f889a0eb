from __future__ import annotations

from nanobrag_torch.parity.traces import Deviation, trace_deviations
from nanobrag_torch.pipeline.trace import Tap

TRACE = {
    "setup": {"angles_rad": {"rotx": 0.1}, "Rx": [[1.0, 0.0], [0.0, 1.0]]},
    "terms": [{"F_latt": -4.0, "phi_steps": [{"phi_tic": 0, "k_frac": 2.0}], "third_source": {"polar": 0.5}}],
    "pixel": {"steps": 3},
}


def tap(place: str, name: str, *values: float) -> Tap:
    return Tap(place, name, values, "")


def taps(k_frac: float = 2.0, polar: float = 0.5) -> list[Tap]:
    return [
        tap("setup", "angles_rad.rotx", 0.1),
        tap("setup", "Rx", 1.0, 0.0, 0.0, 1.0),
        tap("term[0,0,0,0]", "F_latt", 4.0),
        tap("step[0,0,0,0,0,0]", "phi_tic", 0.0),
        tap("step[0,0,0,0,0,0]", "k_frac", k_frac),
        tap("term[0,0,0,2]", "polar", polar),
        tap("pixel", "steps", 3.0),
    ]


def test_lattice_factors_agree_by_magnitude():
    assert all(deviation.error == 0 for deviation in trace_deviations(TRACE, taps(), 1, 1))


def test_the_quantity_that_differs_is_named():
    worst = max(trace_deviations(TRACE, taps(k_frac=2.5), 1, 1))
    assert worst == Deviation(0.25, "step[0,0,0,0,0,0].k_frac")


def test_a_missing_quantity_is_infinitely_wrong():
    worst = max(trace_deviations(TRACE, taps()[:-1], 1, 1))
    assert worst == Deviation(float("inf"), "pixel.steps")
