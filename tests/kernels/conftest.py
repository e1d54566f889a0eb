"""Small lattice sums and scenes that every kernel is tried on."""

from dataclasses import dataclass, replace

import pytest
import torch

from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.kernels.pixel_scene import PixelScene
from nanobrag_torch.kernels.structure_factors import StructureFactors

LOOKUPS = ("constant", "nearest", "tricubic")


def real(*values):
    return torch.tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


@dataclass(frozen=True)
class LatticeCase:
    """A lattice sum; `leaves` are the tensors that it can be differentiated by."""

    shape: str
    lookup: str
    radius: str
    leaves: dict

    def __call__(self, backend=None, dtype=torch.float64, **changed):
        v = {**self.leaves, **changed}
        table = StructureFactors(None if self.lookup == "constant" else v["F"], (-4, -5, -4), v["default_F"])
        return lattice_sum(
            v["S"],
            v["A"],
            v["N"],
            table,
            shape=self.shape,
            reciprocal=v["reciprocal"],
            fudge=v["fudge"],
            interpolation=self.lookup == "tricubic",
            radius=self.radius,
            backend=backend,
            dtype=dtype,
        )

    def tracked(self):
        leaves = {name: value.detach().clone().requires_grad_() for name, value in self.leaves.items()}
        return replace(self, leaves=leaves)


def build_lattice_case(shape, lookup, radius="nanobragg", points=45, orientations=3):
    """Scattering vectors of which some are exactly at lattice points, some half-way, some outside the table."""
    g = torch.Generator().manual_seed(7)

    def draw(*size):
        return torch.rand(*size, generator=g, dtype=torch.float64)

    A = torch.diag(real(10.0, 12.5, 16.0)) + 0.4 * draw(orientations, 3, 3)
    A[0] = torch.diag(real(10.0, 12.5, 16.0))
    S = (draw(points, 3) - 0.5) * 0.9
    if lookup != "tricubic":  # where F itself has no derivative
        S[0] = 0.0
        S[1] = real(0.1, -0.08, 0.0625)
    leaves = {
        "S": S,
        "A": A,
        "N": real(1.0, 2.0, 5.0),
        "fudge": real(1.3 if shape != "tophat" else 40.0),
        "reciprocal": torch.linalg.inv(A[0] + 0.1).T.contiguous(),
        "F": 3.0 * draw(9, 11, 9),
        "default_F": real(0.7),
    }
    return LatticeCase(shape, lookup, radius, leaves)


def build_scene(**changes):
    """A tilted panel, three sources, two orientations, two layers, 2x2 sub-pixels; `changes` are its fields."""
    g = torch.Generator().manual_seed(changes.pop("seed", 5))
    sources, orientations = changes.pop("sources", 3), changes.pop("orientations", 2)

    def draw(*size):
        return torch.rand(*size, generator=g, dtype=torch.float64)

    def unit(v):
        return v / v.norm(dim=-1, keepdim=True)

    A = torch.diag(real(40.0, 45.0, 50.0)) + 2.0 * draw(orientations, 3, 3)
    fields = {
        "origin": real(0.06, -0.004, -0.004) + 0.001 * draw(3),
        "fast": unit(real(0.05, 0.02, 1.0)),
        "slow": unit(real(-0.03, -1.0, 0.02)),
        "normal": unit(real(1.0, 0.02, 0.05)),
        "pixel_size": real(4e-4),
        "pixels_f": 20,
        "oversample": 2,
        "close_distance": real(0.06),
        "distance": real(0.0601),
        "beam": real(1.0, 0.0, 0.0),
        "beam_centre": real(0.004, 0.003),
        "curved": "flat",
        "point_pixel": False,
        "point_area": real(1.3),
        "layers": 2,
        "layer_step": real(5e-5),
        "attenuation": real(3000.0),
        "has_sensor": True,
        "incident": unit(real(1.0, 0.0, 0.0) + 0.02 * draw(sources, 3)),
        "wavelength": 1.2 + 0.01 * draw(sources),
        "weight": 1.0 + 0.5 * draw(sources),
        "polarized": True,
        "polarization_factor": real(0.7),
        "polarization_axis": real(0.0, 0.1, 1.0),
        "A": A,
        "N": real(3.0, 4.0, 1.0),
        "fudge": real(1.1),
        "shape": "square",
        "reciprocal": torch.linalg.inv(A[0]).T.contiguous(),
        "radius": "nanobragg",
        "structure_factors": StructureFactors(10.0 + 5.0 * draw(13, 15, 17), (-6, -7, -8), real(3.0)),
        "interpolate": False,
        "dmin": 0.0,
        "per_term_omega": False,
        "per_term_polar": False,
        "per_term_thick": False,
        "background": "none",
    }
    return PixelScene(**{**fields, **changes})


@pytest.fixture
def lattice_case():
    return build_lattice_case


@pytest.fixture
def make_scene():
    return build_scene
