"""Pictures from elsewhere: their size is read, and refused if too large, before decoding."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

from PIL import Image

from models.files.reading import FileError

MAX_PIXELS = 40_000_000
"""Most pixels of one picture; decoding takes up to 16 bytes of memory for each."""
MAX_BYTES = 256 << 20
"""Size of the largest picture file."""
_FORMATS = ("PNG", "JPEG", "BMP", "PPM", "GIF", "TIFF", "WEBP")
"""What Pillow may take a file for, whatever its name; others start programs."""


@contextlib.contextmanager
def opened_picture(data: bytes, where: str) -> Iterator[Image.Image]:
    """Open the picture whose file holds ``data``; its pixels are not decoded yet.

    Raises FileError for more than MAX_PIXELS, and what Pillow raises for damaged pictures and, as
    DecompressionBombError, for those beyond its own, larger limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
    with opened as picture:
        columns, rows = picture.size
        if columns * rows > MAX_PIXELS:
            raise FileError(
                f"{where}: has {rows}x{columns} pixels (rows x columns), more than "
                f"{MAX_PIXELS // 1_000_000} million"
            )
        yield picture
