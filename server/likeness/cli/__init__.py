"""The command line: `likeness render`, `likeness styles`, `likeness packs`."""

from likeness.cli.main import main

__all__ = ["main"]
