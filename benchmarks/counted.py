"""Not a benchmark: the command `likeness`, with the database transactions of its process counted into a file.

`counted.py FILE serve ...`; FILE has 8 bytes, a little-endian number. Counted are all that SQLAlchemy begins, reads as
well as writes, so that nothing that a stream does to the database goes by unseen.
"""

from __future__ import annotations

import mmap
import sys
import threading
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import sqlalchemy as sa

from likeness.cli import main

BYTES = 8


def read_count(file: Path) -> int:
    """The transactions so far."""
    return int.from_bytes(file.read_bytes(), "little")


def run(file: Path, arguments: list[str]) -> int:
    """Count, and run the command."""
    file.write_bytes(bytes(BYTES))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), BYTES) as memory:
        lock = threading.Lock()

        @sa.event.listens_for(sa.Engine, "begin")
        def count(_connection: sa.Connection) -> None:
            with lock:
                memory[:] = (int.from_bytes(memory[:], "little") + 1).to_bytes(BYTES, "little")

        return main(arguments)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
