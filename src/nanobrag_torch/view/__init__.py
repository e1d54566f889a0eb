"""Looking at images: any format becomes one self-contained HTML page with contrast, zoom and a pixel read-out."""

from nanobrag_torch.view.page import page, write_page
from nanobrag_torch.view.pictures import Picture, pictures_of
from nanobrag_torch.view.readers import Hints, read_pictures

__all__ = ["Hints", "Picture", "page", "pictures_of", "read_pictures", "write_page"]
