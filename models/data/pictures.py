"""One picture file to pixels: every mode that Pillow reads, orientation, transparency, size.

Pictures become 8-bit grey (one channel) or RGB. What has transparency is composed on white, as
browsers show it; 16-bit grey is scaled to 8 bits; the first frame of an animation counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from models.errors import DatasetError
from models.files.pictures import opened_picture
from models.files.reading import FileError, printable

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".gif", ".tif", ".tiff", ".webp"}
BACKGROUND = (255, 255, 255, 255)
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Exceptions that reading a damaged picture may raise."""
_GREY = ("1", "L")
_WIDE = ("I", "F")
"""Pillow's modes of 16 or 32 bits a pixel; ``I;16`` and its kin come on top."""

COMPOSED = "transparent pictures are composed on white"
SCALED = "16-bit pictures are scaled to 8 bits"
GREYED = "coloured pictures are made grey (luma), as the network takes one channel"
FRAME = "only the first frame of animations is read"


def decode(
    read: Callable[[], bytes], name: str, resize: tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], set[str]]:
    """Return the pixels uint8 (1 or 3, rows, columns) of a picture, and what was converted.

    That is a set of sentences. read: returns the file's bytes. name: what messages name. resize:
    (rows, columns) that the picture is brought to (bicubic, with antialiasing); None keeps its
    size. One channel is grey, three are RGB. Raises DatasetError naming the file.
    """
    notes: set[str] = set()
    try:
        with opened_picture(read(), name) as opened:
            if getattr(opened, "is_animated", False):
                notes.add(FRAME)
            picture = _plain(ImageOps.exif_transpose(opened), name, notes)
        if resize and picture.size != (resize[1], resize[0]):
            picture = picture.resize((resize[1], resize[0]), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture, np.uint8)
    except FileError as error:
        raise DatasetError(str(error)) from None
    except _BROKEN as error:
        if isinstance(error, DatasetError):
            raise
        why = "of no known kind" if isinstance(error, UnidentifiedImageError) else printable(error)
        raise DatasetError(f"{name} is a corrupt image ({why})") from None
    return (pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)), notes


def _plain(picture: Image.Image, name: str, notes: set[str]) -> Image.Image:
    """Return the picture in mode L or RGB; sentences on what was converted are added to ``notes``.

    Transparency is composed on BACKGROUND. name: what messages name. Raises DatasetError as
    ``_eight_bits`` does.
    """
    if picture.mode in _GREY and "transparency" not in picture.info:
        return picture.convert("L")
    if picture.mode in _WIDE or picture.mode.startswith("I;"):
        return _eight_bits(picture, name, notes)
    if "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        if whole.getchannel("A").getextrema() != (255, 255):
            notes.add(COMPOSED)
            whole = Image.alpha_composite(Image.new("RGBA", whole.size, BACKGROUND), whole)
        picture = whole
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image, name: str, notes: set[str]) -> Image.Image:
    """Return a grey picture of more than 8 bits a pixel in mode L, scaled from 0..65535 to 0..255.

    Levels are rounded to the nearest; the sentence SCALED is added to ``notes``. Raises
    DatasetError naming ``name`` for reals and for pixels outside 0..65535.
    """
    values = np.asarray(picture)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise DatasetError(
            f"{name} has pixels {values.min():g}..{values.max():g}; pictures must have 8 or 16 "
            "bits: give such data as an .npz"
        )
    notes.add(SCALED)
    return Image.fromarray(((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))


def to_channels(
    stack: NDArray[np.uint8], channels: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return pictures (n, 1 or 3, rows, columns) with a network's number of channels, and notes.

    Grey ones are repeated; coloured ones become grey by ITU-R 601-2 luma, as Pillow's mode L.
    Pictures stay as they are for any other number of channels.
    """
    if len(stack) and stack.shape[1] == 3 and channels == 1:
        grey = grey_if_grey(stack)
        if grey.shape[1] == 1:
            return grey, ()
        red, green, blue = stack.astype(np.uint32).transpose(1, 0, 2, 3)
        luma = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
        return luma.astype(np.uint8)[:, None], (GREYED,)
    if stack.shape[1] == 1 and channels == 3:
        return np.repeat(stack, 3, axis=1), ()
    return stack, ()


def grey_if_grey(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB pictures (n, 3, rows, columns) with one channel if their channels are equal.

    That must hold in all of them; otherwise ``stack`` itself is returned.
    """
    if stack.shape[1] == 3 and (stack == stack[:, :1]).all():
        return np.ascontiguousarray(stack[:, :1])
    return stack
