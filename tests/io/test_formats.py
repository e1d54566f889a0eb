from __future__ import annotations

import subprocess
import sys

import pytest

from nanobrag_torch.io import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_functions(name):
    form = FORMATS[name]
    assert all(suffix.startswith(".") for suffix in form.suffixes)
    functions = [function for function in (form.reader, form.writer) if function is not None]
    assert functions
    assert all(callable(function) for function in functions)


def test_readers_and_writers_do_not_import_torch():
    modules = ["legacy_random", "text", "physics.noise", "settling.inputs"]
    modules += [f"io.{form.module}" for form in FORMATS.values()]
    lines = [f"import nanobrag_torch.{module}" for module in modules]
    code = "; ".join([*lines, "import sys", "sys.exit('torch' in sys.modules)"])
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
