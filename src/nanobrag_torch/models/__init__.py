"""The settled values: frozen, complete, one unit system (lab m, crystal Å, radians); fields may be tensors."""

from nanobrag_torch.models.beam import Beam
from nanobrag_torch.models.crystal import Crystal, Mosaic
from nanobrag_torch.models.detector import Detector, Panel
from nanobrag_torch.models.experiment import Experiment
from nanobrag_torch.models.sampling import Sampling, Scan

__all__ = ["Beam", "Crystal", "Detector", "Experiment", "Mosaic", "Panel", "Sampling", "Scan"]
