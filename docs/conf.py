"""The documentation site: built offline, every example executed, warnings are errors (`make docs`)."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanobrag_torch import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["NANOBRAG_EXAMPLES"] = str(HERE.parent / "examples")
os.environ.pop("NB_C_BIN", None)
_profile = tempfile.TemporaryDirectory()
os.environ["IPYTHONDIR"] = _profile.name
_startup = Path(_profile.name) / "profile_default" / "startup"
_startup.mkdir(parents=True)
shutil.copy(HERE / "_kernel" / "startup.py", _startup)

# Pages run in this Python, whatever kernel of the name python3 the machine has.
_kernel = Path(_profile.name) / "kernels" / "python3"
_kernel.mkdir(parents=True)
_command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
(_kernel / "kernel.json").write_text(json.dumps({"argv": _command, "display_name": "Python 3", "language": "python"}))
os.environ["JUPYTER_PATH"] = _profile.name
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"

project = "nanobrag_torch"
author = "The nanobrag_torch developers"
version = release = __version__
copyright = author

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_kernel"]
suppress_warnings = ["mystnb.unknown_mime_type"]
html_theme = "furo"
html_title = "nanobrag_torch"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_default_options = {"no-value": True}
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Warns"]

_OPTIONAL = re.compile(r"^\{optional\} (\S+)\n", re.MULTILINE)
_REPORT = re.compile(r"^\{report\} (\S+)\n", re.MULTILINE)
_LITERAL = re.compile(r"(``[^`]+``|`[^`]+`)")


def existing(app: Sphinx, docname: str, source: list[str]) -> None:
    """`{optional} page` stands for the page if it exists, `{report} file` for the table in reports/ or a line."""

    def page(match: re.Match[str]) -> str:
        here = (HERE / docname).parent
        return f"{match[1]}\n" if list(here.glob(f"{match[1]}.*")) else ""

    def report(match: re.Match[str]) -> str:
        file = HERE.parent / "reports" / match[1]
        if not file.is_file():
            return f"*No table: `reports/{match[1]}` has not been made yet.*\n"
        return re.sub(r"^#", "##", _without_links(file.read_text(encoding="utf-8")), flags=re.MULTILINE)

    source[0] = _REPORT.sub(report, _OPTIONAL.sub(page, source[0]))


def _without_links(text: str) -> str:
    """Relative links of a report lead nowhere from here."""
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


def plain_docstring(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: what reStructuredText would read into them is taken literally."""
    for i, line in enumerate(lines):
        parts = _LITERAL.split(line)
        for j, part in enumerate(parts):
            if j % 2:
                parts[j] = f"``{part.strip('` ')}``"
            else:
                parts[j] = re.sub(r"([*|\\])", r"\\\1", re.sub(r"_(?=\W|$)", r"\_", part))
        lines[i] = "".join(parts)


def setup(app: Sphinx) -> None:
    """Connect the two hooks; docstrings are treated before napoleon sees them."""
    app.connect("source-read", existing)
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)
