"""The polarization factor (specs: intensity 5)."""

from __future__ import annotations

from torch import Tensor

from nanobrag_torch.geometry.vectors import cross, dot
from nanobrag_torch.numerics import normalise


def polarization_factor(directions: Tensor, incident: Tensor, axis: Tensor, kahn: Tensor) -> Tensor:
    """p = ½(1 + c² - K[(d·E)² - (d·B)²]) with c = i·d, B = normalise(p×i), E = normalise(i×B); [P].

    With p along i the bracket is 1 - c² (ψ = 0).

    Shapes: `directions` [P, 3], `incident` [3], polarization `axis` [3], Kahn's factor `kahn` [].
    """
    magnetic = normalise(cross(axis, incident))
    electric = normalise(cross(incident, magnetic))
    cosine = dot(directions, incident)
    # With the axis along the source there is no plane to count ψ from: it is 0 for every direction.
    along = (electric.detach() == 0.0).all().to(cosine.dtype)
    e, b = dot(directions, electric), dot(directions, magnetic)
    return 0.5 * (1.0 + cosine * cosine - kahn * (e * e - b * b + along * (1.0 - cosine * cosine)))
