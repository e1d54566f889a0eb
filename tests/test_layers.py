"""Who may import whom: from levels below one's own, and from one's own package; and what never imports torch."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nanobrag_torch

PACKAGE = Path(nanobrag_torch.__file__).parent
LEVELS = (
    ("errors", "units", "numerics", "legacy_random", "native", "text", "guard", "memory", "moved", "tables"),
    ("config", "geometry", "kernels", "materials", "engine", "random", "program"),
    ("models", "physics", "io"),
    ("pipeline",),
    ("spots", "register", "detector"),
    ("settling",),
    ("cli", "coherent", "refine"),
    ("parity", "view", "dataset"),
    ("hostile",),
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
FREE = {"__init__", "__main__"}
"""They load names of any level on demand."""
UPWARDS = {"models.experiment imports nanobrag_torch.view.explore.explore"}
"""The one call against the direction: `experiment.explore()` in a notebook, imported when it is called."""
TORCH_FREE = (
    "errors",
    "units",
    "legacy_random",
    "native",
    "text",
    "moved",
    "guard",
    "memory",
    "tables",
    "engine",
    "view",
    "config",
    "io",
    "spots",
    "detector",
    "random",
    "program",
    "settling.checks",
    "settling.inputs",
    "cli.parse",
    "cli.flags",
    "cli.help",
    "cli.report",
    "cli.main",
    "cli.running",
    "cli.frames",
    "cli.series",
    "cli.batch",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Modules of this package that a module imports anywhere, also inside functions; not those for types only."""
    for node in _run_time_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("nanobrag_torch"))
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("nanobrag_torch"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run_time_nodes(child)


def test_every_module_has_a_level():
    unknown = {name.split(".")[0] for name, _ in modules()} - set(LEVEL) - FREE
    assert unknown == set()


def test_the_page_on_architecture_says_the_same():
    """A new package needs a row in docs/architecture.md."""
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [(int(number), name) for number, name in re.findall(r"^\| (\d+) \| `(\w+)` \| .+ \|$", page, re.MULTILINE)]
    assert sorted(rows) == sorted((level, name) for name, level in LEVEL.items())


def test_imports_go_down():
    wrong = []
    for name, tree in modules():
        own = name.split(".")[0]
        if own in FREE:
            continue
        for target in imported(tree):
            parts = target.split(".")
            if len(parts) == 1 or parts[1] not in LEVEL or parts[1] == own:
                continue
            if LEVEL[parts[1]] >= LEVEL[own]:
                wrong.append(f"{name} imports {target}")
    assert set(wrong) == UPWARDS


@pytest.mark.parametrize("name", TORCH_FREE)
def test_no_torch_before_something_is_rendered(name):
    """Importing the module (a package: all of its modules) leaves torch alone."""
    wanted = [found for found, _ in modules() if f"{found}.".startswith(f"{name}.") and "__main__" not in found]
    code = "import sys, importlib\n" + "".join(f"importlib.import_module('nanobrag_torch.{n}')\n" for n in wanted)
    code += "sys.exit(' '.join(m for m in ('torch', 'gemmi', 'h5py', 'matplotlib', 'fabio') if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["-distanc", "5"], ["-hkl", "missing.hkl", "-cell", "50"]]
)
def test_no_torch_for_help_and_refusals(words, tmp_path):
    """Nor NumPy, until a file is read: help and refusals come at once."""
    heavy = ("torch",) if words[0] == "-hkl" else ("torch", "numpy")
    code = (
        "import sys\nfrom nanobrag_torch.cli.main import main\n"
        f"status = main({words!r})\nassert not set({heavy}) & set(sys.modules)\nsys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == (9 if words[0].strip("-") not in ("help", "version") else 0), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_package_offers_what_it_lists():
    for name in nanobrag_torch.__all__:
        assert getattr(nanobrag_torch, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        nanobrag_torch.nothing_of_the_sort  # noqa: B018
    assert importlib.util.find_spec("nanobrag_torch.__main__")
