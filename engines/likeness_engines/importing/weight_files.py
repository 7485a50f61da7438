"""Looking into safetensors files before they are loaded: what is inside, and whether it is all there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import msgspec

from likeness_engines.errors import ExportError

PICKLES: Final = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
MOST_HEADER_BYTES: Final = 100_000_000  # the safetensors library's own bound


class Entry(msgspec.Struct, frozen=True):
    """A tensor as the header describes it."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


class Header(msgspec.Struct, frozen=True):
    """What a safetensors file says about itself."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Raises ExportError, which names the file, for a pickle by name or content, and for a file that is cut short."""
    if not path.is_file():
        raise ExportError(f"The file {path} is missing. Check the name, or get it again.")
    with path.open("rb") as file:
        head = file.read(9)
        if path.suffix.lower() in PICKLES or (head[8:] != b"{" and head.startswith((b"PK", b"\x80"))):
            raise ExportError(f"{path} is a pickle, which can run code when it is opened. Use its safetensors version.")
        length, size = int.from_bytes(head[:8], "little"), path.stat().st_size
        if head[8:] != b"{" or length > min(size - 8, MOST_HEADER_BYTES):
            raise ExportError(f"{path} is not a safetensors file, or is cut short. Get it again.")
        file.seek(8)
        return _parse(path, file.read(length), size - 8 - length)


def _parse(path: Path, text: bytes, size: int) -> Header:
    try:
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(raw.pop("__metadata__", msgspec.Raw(b"{}")), type=dict[str, str])
        tensors = {key: msgspec.json.decode(value, type=Entry) for key, value in raw.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ExportError(f"{path} is damaged: its header cannot be read ({error}). Get it again.") from error
    end = max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    if end != size:
        raise ExportError(f"{path} has {size} bytes of weights where its header says {end}. Get it again.")
    return Header(tensors, metadata)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ExportError, which names the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError as error:
        raise ExportError(f"The file {path} is missing. Check the name, or get it again.") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} cannot be read: {error}. Get it again.") from error


def stated_licence(folder: Path, parents: int = 0) -> str | None:
    """The licence in the front matter of `README.md`, as the hub reads it; of the nearest of the folder's `parents`
    where the folder's own has none.
    """
    for place in (folder, *folder.resolve().parents[:parents]):
        readme = place / "README.md"
        text = readme.read_text(errors="replace") if readme.is_file() else ""
        if not text.startswith("---"):
            continue
        fields = dict(line.split(":", 1) for line in text.split("\n---")[0].splitlines() if ":" in line)
        for key in ("license_name", "license"):  # "other" has a name of its own
            if licence := fields.get(key, "").strip().strip("\"'"):
                return licence
    return None
