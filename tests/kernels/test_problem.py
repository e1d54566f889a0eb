from dataclasses import FrozenInstanceError

import pytest
import torch

from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.structure_factors import StructureFactors


def test_a_problem_is_frozen():
    one = torch.ones((), dtype=torch.float64)
    table = StructureFactors.constant(1.0)
    problem = LatticeProblem(table, "round", torch.eye(3), one, False, "exact", torch.float64)
    with pytest.raises(FrozenInstanceError):
        problem.shape = "square"
