"""Where reflections are seen: predictions from an experiment, and the pixels around them."""

from nanobrag_torch.spots.predict import predict, predict_all
from nanobrag_torch.spots.rays import Spread, indices_within
from nanobrag_torch.spots.regions import FrameRegions, Regions, regions

__all__ = ["FrameRegions", "Regions", "Spread", "indices_within", "predict", "predict_all", "regions"]
