"""What AVIF and HEIC say in their boxes and no decoder here tells: ISO/IEC 14496-12 and 23008-12.

A file is a list of boxes, each its length, a kind of four letters and a content, often boxes again.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from likeness.photos.cicp import Cicp
from likeness.photos.opened import limit_parts


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the content
    end: int


def read_cicp(data: bytes) -> Cicp | None:
    """The colour code points (nclx) of the primary picture; None where it has none, or the boxes are broken."""
    try:
        meta = _meta(data)
        primary = _primary(data, meta[b"pitm"])
        properties = _by_kind(data, meta[b"iprp"].start, meta[b"iprp"].end)
        listed = list(_boxes(data, properties[b"ipco"].start, properties[b"ipco"].end))
        for index in _indices(data, properties[b"ipma"], primary):
            box = listed[index - 1]
            if box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx":
                return Cicp(*struct.unpack_from(">HH", data, box.start + 4))
    except (KeyError, IndexError, struct.error):
        pass
    return None


def hide_metadata(data: bytes) -> bytes:
    """The same file with nothing that says of an item, as of EXIF, that it describes a picture."""
    hidden = bytearray(data)
    try:
        references = _meta(data)[b"iref"]
        for box in _boxes(data, references.start + 4, references.end):
            if box.kind == b"cdsc":
                hidden[box.start - 4 : box.start] = b"none"
    except (KeyError, struct.error):
        pass  # then there is no metadata
    return bytes(hidden)


def declared_size(data: bytes) -> int:
    """Where the last box would end, which is the file's size unless it was cut off."""
    return max((box.end for box in _boxes(data, 0, sys.maxsize)), default=0)


def _meta(data: bytes) -> dict[bytes, _Box]:
    """The boxes of the meta box, by kind; raises KeyError where there is none."""
    meta = _by_kind(data, 0, sys.maxsize)[b"meta"]
    return _by_kind(data, meta.start + 4, meta.end)


def _by_kind(data: bytes, start: int, end: int) -> dict[bytes, _Box]:
    return {box.kind: box for box in _boxes(data, start, end)}


def _primary(data: bytes, box: _Box) -> int:
    [version] = struct.unpack_from("B", data, box.start)
    [item] = struct.unpack_from(">H" if version == 0 else ">I", data, box.start + 4)
    return int(item)


def _indices(data: bytes, box: _Box, wanted: int) -> Iterator[int]:
    """The places, from 1, of an item's properties in their list; the highest bit of each says that it is essential."""
    version, flags, count = struct.unpack_from(">B3sI", data, box.start)
    head = ">HB" if version == 0 else ">IB"
    form, mask = (">H", 0x7FFF) if flags[2] & 1 else ("B", 0x7F)
    at = box.start + 8
    for _ in limit_parts(range(count)):
        item, properties = struct.unpack_from(head, data, at)
        at += struct.calcsize(head)
        if item == wanted:
            for index in range(properties):
                [place] = struct.unpack_from(form, data, at + index * struct.calcsize(form))
                if place & mask:  # 0 means none
                    yield place & mask
            return
        at += properties * struct.calcsize(form)


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """Raises ValueError where there are too many."""
    return limit_parts(_walk(data, start, end))


def _walk(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= min(end, len(data)):
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            [size] = struct.unpack_from(">Q", data, start + 8)
            head = 16
        elif size == 0:  # up to the end
            size = min(end, len(data)) - start
        if size < head or start + size > end:
            return
        yield _Box(kind, start + head, start + size)
        start += size
