"""Looking at images: any format becomes one self-contained HTML page with contrast, zoom and a pixel read-out."""

from nanobrag_torch.view.difference import differences
from nanobrag_torch.view.page import page, write_page
from nanobrag_torch.view.pictures import Picture, Spots, pictures_of
from nanobrag_torch.view.readers import Hints, read_pictures

__all__ = ["Hints", "Picture", "Spots", "differences", "page", "pictures_of", "read_pictures", "write_page"]
