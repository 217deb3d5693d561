"""Every mode that Pillow writes comes back as the picture that a browser shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from models.data import pictures
from models.data.pictures import decode
from models.errors import DatasetError

GREY = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)


def _file(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _decode(data: bytes, **options: object) -> tuple[np.ndarray, set[str]]:
    return decode(lambda: data, "a.png", **options)


def _grey(image: np.ndarray) -> np.ndarray:
    return pictures.grey_if_grey(image[None])[0, 0] if len(image) == 3 else image[0]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16", "I"])
def test_one_grey_picture_in_every_mode(mode):
    source = Image.fromarray(GREY)
    if mode in ("I;16", "I"):
        wide = GREY.astype(np.uint16) * 257
        picture = Image.fromarray(wide if mode == "I;16" else wide.astype(np.int32))
    else:
        picture = source.convert(mode)
    kind = "TIFF" if mode == "I" else "PNG"
    image, notes = _decode(_file(picture, kind))
    np.testing.assert_array_equal(_grey(image), GREY)
    assert (pictures.SCALED in notes) == mode.startswith("I")


def test_one_bit_pictures_are_black_and_white():
    image, _ = _decode(_file(Image.fromarray(GREY > 127)))
    np.testing.assert_array_equal(image[0], np.where(GREY > 127, 255, 0))


def test_transparency_is_composed_on_white_and_said():
    alpha = np.dstack([np.zeros((5, 7, 3), np.uint8), GREY])
    image, notes = _decode(_file(Image.fromarray(alpha, "RGBA")))
    np.testing.assert_array_equal(_grey(image), 255 - GREY)
    assert notes == {pictures.COMPOSED}


def test_cmyk_and_palettes_become_rgb():
    colours = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image, _ = _decode(_file(Image.fromarray(colours).convert("CMYK"), "TIFF"))
    assert image.shape == (3, 5, 7)
    flat = Image.fromarray(np.repeat(colours[:1, :1], 9, 0).repeat(9, 1))
    image, _ = _decode(_file(flat.convert("P", palette=Image.Palette.ADAPTIVE)))
    np.testing.assert_array_equal(image[:, 4, 4], colours[0, 0])


def test_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise
    image, _ = _decode(_file(Image.fromarray(GREY), "PNG", exif=exif))
    np.testing.assert_array_equal(image[0], np.rot90(GREY, -1))


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    data = _file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image, notes = _decode(data)
    np.testing.assert_array_equal(_grey(image), GREY)
    assert pictures.FRAME in notes


def test_resizing_gives_rows_and_columns():
    assert _decode(_file(Image.fromarray(GREY)), resize=(4, 9))[0].shape == (1, 4, 9)


def test_pictures_without_a_known_range_are_refused():
    data = _file(Image.fromarray(GREY.astype(np.float32)), "TIFF")
    with pytest.raises(DatasetError, match="give such data as an"):
        _decode(data)


def test_channels_become_those_that_a_network_takes():
    colours = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    grey, notes = pictures.to_channels(colours, 1)
    for one, found in zip(colours, grey, strict=True):
        pillow = Image.fromarray(one.transpose(1, 2, 0)).convert("L")
        np.testing.assert_array_equal(found[0], np.asarray(pillow))
    assert notes == (pictures.GREYED,)
    again, notes = pictures.to_channels(grey, 3)
    assert (again == grey).all()
    assert again.shape == colours.shape
    assert notes == ()
    back, notes = pictures.to_channels(again, 1)
    np.testing.assert_array_equal(back, grey)
    assert notes == ()
    assert pictures.to_channels(colours, 4)[0] is colours
