"""Files of torch.save, read without torch.load: plain values and tensors, sizes before memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.files import pickles
from models.files.reading import FileError, check_memory, escaped, opened, size
from models.files.zips import Archive, archive

MAX_PICKLE_BYTES = 16 << 20
"""Size of the largest description of values and tensors; the tensors' values are beside it."""
_TYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16,
    "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


def read(path: Path) -> Any:
    """Return the value that torch.save wrote, with tensors in main memory. Raises FileError."""
    with opened(path) as file, archive(file, escaped(str(path))) as found:
        total = sum(map(found.size, found.names))
        check_memory(found.where, total)
        if not found.stored or total > size(file):
            raise FileError(f"{found.where}: is compressed; torch.save does not compress")
        roots = [name for name in found.names if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise FileError(f"{found.where}: is no file of torch.save")
        storages = _Storages(found, roots[0].removesuffix("data.pkl"))
        stand_ins: pickles.StandIns = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
            **{("torch", name): dtype for name, dtype in _TYPES.items()},
        }
        data = found.read(roots[0], MAX_PICKLE_BYTES)
        return pickles.loads(data, found.where, stand_ins, storages.get)


class _Storages:
    """The tensors' values in an open file by key, each read once."""

    def __init__(self, file: Archive, root: str) -> None:
        self._file, self._root = file, root
        self._read: dict[str, Tensor] = {}

    def get(self, pid: Any) -> Tensor:
        """Return the values, flat, of the id ("storage", type, key, device, count).

        Raises FileError, and ValueError or KeyError for an id that does not fit the file.
        """
        _, dtype, key, _, count = pid
        name = f"{self._root}data/{key}"
        if key not in self._read:
            data = self._file.read(name, self._file.size(name))
            if type(count) is not int or count * dtype.itemsize != len(data):
                raise ValueError(f"tensor {key} has {len(data)} bytes, not {count} values")
            flat = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0)
            self._read[key] = flat.to(dtype)
        if self._read[key].dtype != dtype:
            raise ValueError(f"tensor {key} has two types")
        return self._read[key]


def _tensor(values: Tensor, offset: int, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Return a tensor of flat values: all of it lies within them, and it has no more than they.

    offset, strides: in values. Raises ValueError.
    """
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a tensor's shape and strides must be integers")
    last = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
    if math.prod(shape) > len(values) or (math.prod(shape) and last >= len(values)):
        raise ValueError(f"a tensor of shape {tuple(shape)} in {len(values)} values")
    return values.as_strided(tuple(shape), tuple(strides), offset)
