"""Check text of variable length before the HDF5 library reads it.

libhdf5 (seen with 2.0.0) loops for ever over a damaged global heap, and allocates whatever length a damaged element
declares. Layouts: HDF5 File Format Specification 3.0, "Global Heap" and "Data Storage - Variable-Length Datatypes".
"""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from hwsdk.errors import ModelError

MAX_TEXT = 1 << 16
_ELEMENT = 16  # bytes of a stored element: length (4), address of a heap (8), index in it (4)
_HEAD = 16  # bytes of a heap's header, and of the header of each object in it
_HEAP = b"GCOL\x01"


def check_heaps(path: Path) -> None:
    """Walk every text heap of a file as the library does: each object lies inside its heap and leads to the next.

    Raises:
        ModelError: BAD_TEXT.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        at = raw.find(_HEAP)
        while at >= 0:
            if at % 8 == 0:
                _check_heap(raw, at)
            at = raw.find(_HEAP, at + 1)


def _check_heap(raw: mmap.mmap, start: int) -> None:
    """One heap."""
    size = struct.unpack_from("<Q", raw, start + 8)[0] if start + _HEAD <= len(raw) else 0
    if not 2 * _HEAD <= size <= len(raw) - start:
        raise _bad(f"the text heap at byte {start} is cut short", "")
    at, end = start + _HEAD, start + size
    while at + _HEAD <= end:
        index, length = struct.unpack_from("<H6xQ", raw, at)
        need = _HEAD + -(-length // 8) * 8 if index else length
        if need < _HEAD or at + need > end:
            raise _bad(f"the text heap at byte {start} is damaged", "")
        at += need


def check_lengths(item: h5py.Dataset, raw: IO[bytes], place: str) -> None:
    """Refuse a text dataset that declares an element of more than MAX_TEXT bytes; ``raw`` is the file's own bytes.

    Raises:
        ModelError: BAD_TEXT.
    """
    data = _elements(item, raw)
    lengths = np.frombuffer(data[: len(data) // _ELEMENT * _ELEMENT], "<u4")[::4]
    if lengths.size and lengths.max() > MAX_TEXT:
        raise _bad(f"a text has {lengths.max():,} bytes, the limit is {MAX_TEXT:,}", place)


def _elements(item: h5py.Dataset, raw: IO[bytes]) -> bytes:
    """The stored elements; nothing where they lie in an object header or behind filters other than gzip."""
    if item.shape is None or not item.id.get_storage_size():
        return b""
    if item.chunks is not None:
        return b"".join(_chunk(item, i) for i in range(item.id.get_num_chunks()))
    offset, need = item.id.get_offset(), _ELEMENT * math.prod(item.shape)
    if offset is None or item.id.get_storage_size() != need:
        return b""
    raw.seek(offset)
    return raw.read(need)


def _chunk(item: h5py.Dataset, number: int) -> bytes:
    """One chunk's elements."""
    plist, need = item.id.get_create_plist(), _ELEMENT * math.prod(item.chunks)
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if filters not in ([], [h5py.h5z.FILTER_DEFLATE]):
        return b""
    data = bytes(item.id.read_direct_chunk(item.id.get_chunk_info(number).chunk_offset)[1])
    try:
        return zlib.decompressobj().decompress(data, need) if filters else data[:need]
    except zlib.error:
        return b""


def _bad(what: str, place: str) -> ModelError:
    """A refusal."""
    return ModelError(what, where=place, code="BAD_TEXT", fix="export the file again; it is damaged")
