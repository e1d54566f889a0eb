"""The settled values: frozen, complete, one unit system (lab m, crystal Å, radians); fields may be tensors."""

from nanobrag_torch.models.background import Background, Curve, Measured
from nanobrag_torch.models.beam import Beam
from nanobrag_torch.models.crystal import Blocks, Crystal, Diffuse, Mosaic, Other
from nanobrag_torch.models.detector import Detector, Panel
from nanobrag_torch.models.experiment import Experiment
from nanobrag_torch.models.path import BeamForm, Path, Sample
from nanobrag_torch.models.sampling import Sampling, Scan

__all__ = [
    "Background",
    "Beam",
    "BeamForm",
    "Blocks",
    "Crystal",
    "Curve",
    "Detector",
    "Diffuse",
    "Experiment",
    "Measured",
    "Mosaic",
    "Other",
    "Panel",
    "Path",
    "Sample",
    "Sampling",
    "Scan",
]
