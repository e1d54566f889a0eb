from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nanobrag_torch.io.model import ModelSums, Solvent, anomalous_factors, model_sums, read_model
from nanobrag_torch.settling.model_amplitudes import model_structure_factors

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "model.pdb"


@pytest.fixture(scope="module")
def sums() -> ModelSums:
    return model_sums(EXAMPLE, 6.0, solvent=Solvent())


def test_the_table_equals_the_array_of_the_reader(sums):
    f_prime, f_second = (torch.tensor(f) for f in anomalous_factors(sums.elements, 1.5))
    table = model_structure_factors(sums, f_prime, f_second, 3.0)
    grid = read_model(EXAMPLE, 6.0, 1.5, solvent=Solvent(), default_F=3.0).grid
    assert table.origin == grid.origin
    assert table.entries == grid.count
    np.testing.assert_allclose(table.values.numpy(), grid.values, rtol=1e-12)


def test_gradients_in_f_prime_and_f_second(sums):
    few = ModelSums(
        sums.path,
        sums.cell,
        sums.space_group,
        sums.elements,
        sums.indices[:40],
        sums.sums[:, :40],
        sums.form_factors[:, :40],
        sums.solvent[:40],
    )
    factors = [torch.full((len(sums.elements),), x, dtype=torch.float64, requires_grad=True) for x in (0.3, 0.6)]
    assert torch.autograd.gradcheck(lambda p, s: model_structure_factors(few, p, s).values, factors)
