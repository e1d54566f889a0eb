"""Write docs/cli.md from the flag table."""

from pathlib import Path

from nanobrag_torch.cli.help import page

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "cli.md").write_text(page(), encoding="utf-8")
