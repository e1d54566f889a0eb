"""`python -m nanobrag_torch`: the command line."""

from nanobrag_torch.cli.main import program

if __name__ == "__main__":
    program()
