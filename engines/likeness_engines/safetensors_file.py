"""Read LoRA tensors from safetensors, bfloat16 among them, on which the safetensors library's NumPy reader fails."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
import numpy as np

from likeness_engines.errors import LoraError
from likeness_engines.lora import Floats

MOST_BYTES: Final = 2_000_000_000
MOST_HEADER_BYTES: Final = 100_000_000  # the safetensors library's own bound
DTYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
PICKLES: Final = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
Size = Annotated[int, msgspec.Meta(ge=0)]


class Tensor(msgspec.Struct, frozen=True):
    """A tensor as the header describes it; the offsets count from the header's end."""

    dtype: str
    shape: list[Size]
    data_offsets: tuple[Size, Size]


class Opened(msgspec.Struct, frozen=True):
    """A checked file whose tensors, in the header's order, wait to be read; `start` is where their bytes begin."""

    file: io.BufferedReader
    start: int
    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    def read(self, key: str) -> Floats:
        """One tensor; raises LoraError for NaN and infinity."""
        tensor = self.tensors[key]
        begin, end = tensor.data_offsets
        self.file.seek(self.start + begin)
        values = np.frombuffer(self.file.read(end - begin), DTYPES[tensor.dtype])
        if tensor.dtype == "BF16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            return finite(key, values.astype(np.float32).reshape(tensor.shape))


def open_tensors(file: io.BufferedReader, suffix: str) -> Opened:
    """Read and check the header; the `suffix` of the file's name tells pickles. Raises LoraError."""
    size = file.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise LoraError(f"The file has {size} bytes; a LoRA may have {MOST_BYTES}. Use one of lower rank.")
    file.seek(0)
    head = file.read(9)
    if head[8:] != b"{":  # looked at first, because the header's length can begin with a pickle's bytes
        raise LoraError(_other_format(head, suffix))
    length = int.from_bytes(head[:8], "little")
    if length > min(size - 8, MOST_HEADER_BYTES):
        raise LoraError("The file is cut short or damaged. Get it again.")
    file.seek(8)
    try:
        header = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(header.pop("__metadata__", msgspec.Raw(b"{}")), type=dict[str, str])
        tensors = {key: msgspec.json.decode(value, type=Tensor) for key, value in header.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LoraError(f"The file is damaged: its header cannot be read ({error}). Get it again.") from error
    _check_extent(tensors, size - 8 - length)
    return Opened(file, 8 + length, tensors, metadata)


def _other_format(head: bytes, suffix: str) -> str:
    if head.startswith((b"PK", b"\x80")) or suffix.lower() in PICKLES:
        return "The file is a pickle, which can run code; ask for safetensors."
    return "The file is not safetensors, or is cut short. Get it again, as safetensors."


def _check_extent(tensors: Mapping[str, Tensor], size: int) -> None:
    """The format has the tensors fill their `size` bytes without gap or overlap."""
    reached = 0
    for key, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        if tensor.dtype not in DTYPES:
            raise LoraError(f"The LoRA has {key} in {tensor.dtype}. Use one saved in float16, bfloat16 or float32.")
        begin, end = tensor.data_offsets
        if begin != reached or end - begin != math.prod(tensor.shape) * np.dtype(DTYPES[tensor.dtype]).itemsize:
            raise LoraError(f"The file is damaged at {key}. Get it again.")
        reached = end
    if reached != size:
        raise LoraError(f"The file is {'cut short' if reached > size else 'damaged: it is too long'}. Get it again.")


def finite(key: str, values: Floats) -> Floats:
    """The values; raises LoraError when one is not a number."""
    if not np.isfinite(values).all():
        raise LoraError(f"The LoRA has NaN or infinite values in {key}: its training failed. Use another.")
    return values
