"""A photo reads the same however it was saved; what cannot be read gets one sentence that says why."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from addon.exchange.errors import PhotoError
from ml_backend.photo.read_photo import MAX_PIXELS, read_photo


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(90,120,3) smooth colours, each corner different, so that turns and channel swaps show."""
    rows, columns = np.mgrid[0:90, 0:120]
    return np.stack([rows * 2, columns * 2, 128 + rows - columns // 2], -1).astype(np.uint8)


def save(folder: Path, name: str, image: Image.Image, **options) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left.astype(int) - right.astype(int)).mean())


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 0),
        ("a.bmp", {}, 0),
        ("a.tif", {"compression": "tiff_lzw"}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.jpg", {"quality": 95}, 2),
        ("a.jp2", {}, 1),
        ("fotó 写真 of me.jpeg", {"quality": 95, "progressive": True}, 2),
    ],
)
def test_common_formats(tmp_path: Path, picture: np.ndarray, name: str, options: dict, tolerance: float):
    photo = read_photo(save(tmp_path, name, Image.fromarray(picture), **options))
    assert photo.pixels.dtype == np.uint8
    assert photo.original_name == name
    assert (photo.original_width, photo.original_height) == (120, 90)
    assert difference(photo.pixels, picture) <= tolerance


def test_wrong_extension_does_not_matter(tmp_path: Path, picture: np.ndarray):
    path = save(tmp_path, "a.png", Image.fromarray(picture)).rename(tmp_path / "a.jpg")
    assert difference(read_photo(path).pixels, picture) == 0


def test_greyscale(tmp_path: Path, picture: np.ndarray):
    grey = picture[..., 1]
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(grey)))
    assert difference(photo.pixels, np.repeat(grey[..., None], 3, 2)) == 0


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_greyscale(tmp_path: Path, picture: np.ndarray, name: str):
    grey = picture[..., 1]
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    photo = read_photo(save(tmp_path, name, deep))
    assert difference(photo.pixels, np.repeat(grey[..., None], 3, 2)) <= 0.5


def test_dark_16_bit_greyscale_stays_dark(tmp_path: Path):
    dark = Image.fromarray(np.full((64, 64), 200, np.uint16))
    assert read_photo(save(tmp_path, "a.png", dark)).pixels.max() == 0


def test_16_bit_colour_png(tmp_path: Path, picture: np.ndarray):
    path = tmp_path / "a.png"
    path.write_bytes(deep_png(picture))
    assert difference(read_photo(path).pixels, picture) <= 0.5


def deep_png(picture: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow itself cannot write."""
    height, width = picture.shape[:2]
    rows = (picture.astype(">u2") * 257).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(raw)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_float_tiff(tmp_path: Path, picture: np.ndarray):
    grey = picture[..., 1].astype(np.float32)
    photo = read_photo(save(tmp_path, "a.tif", Image.fromarray(grey / grey.max())))
    assert difference(photo.pixels[..., 0], np.clip(grey / grey.max() * 255, 0, 255).astype(np.uint8)) <= 1


def test_palette(tmp_path: Path, picture: np.ndarray):
    image = Image.fromarray(picture).quantize(64)
    photo = read_photo(save(tmp_path, "a.png", image))
    assert difference(photo.pixels, np.asarray(image.convert("RGB"))) == 0


def test_palette_with_a_transparent_colour(tmp_path: Path):
    image = Image.new("P", (64, 64), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 32, 64))
    photo = read_photo(save(tmp_path, "a.png", image, transparency=0))
    assert tuple(photo.pixels[10, 50]) == (128, 128, 128)
    assert tuple(photo.pixels[10, 10]) == (0, 255, 0)


def test_alpha_is_composited_over_grey(tmp_path: Path, picture: np.ndarray):
    alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
    alpha[:, :60] = 0
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(np.concatenate([picture, alpha], 2))))
    assert (photo.pixels[:, :60] == 128).all()
    assert difference(photo.pixels[:, 60:], picture[:, 60:]) == 0


def test_cmyk_jpeg(tmp_path: Path, picture: np.ndarray):
    image = Image.fromarray(picture).convert("CMYK")
    photo = read_photo(save(tmp_path, "a.jpg", image, quality=95))
    assert difference(photo.pixels, picture) <= 4


def test_lab_tiff(tmp_path: Path, picture: np.ndarray):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(picture), srgb, lab, outputMode="LAB")
    assert difference(read_photo(save(tmp_path, "a.tif", image)).pixels, picture) <= 4


def test_colour_profile_is_applied(tmp_path: Path):
    # a profile of linear light would be far off if it were ignored
    linear = linear_profile()
    light = np.full((64, 64, 3), 55, np.uint8)
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(light), icc_profile=linear))
    expected = 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)
    assert abs(float(photo.pixels.mean()) - expected) <= 2


def linear_profile() -> bytes:
    """sRGB's profile with its tone curves replaced by the identity."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for index in range(count):
        entry = 132 + 12 * index
        name, offset, size = struct.unpack(">4sII", profile[entry : entry + 12])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            # parametric curve of type 0 with exponent 1
            curve = b"para" + bytes(8) + struct.pack(">i", 65536)
            profile[offset : offset + size] = curve.ljust(size, b"\0")
    return bytes(profile)


def test_broken_colour_profile_is_ignored(tmp_path: Path, picture: np.ndarray):
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(picture), icc_profile=b"nonsense" * 20))
    assert difference(photo.pixels, picture) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, picture: np.ndarray, orientation: int):
    # how the camera stored an upright picture for each value, from EXIF's definition of its row 0 and column 0
    stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: picture.transpose(1, 0, 2)[::-1],
        7: picture.transpose(1, 0, 2)[::-1, ::-1],
        8: picture.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(save(tmp_path, "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif))
    assert (photo.original_width, photo.original_height) == (120, 90)
    assert difference(photo.pixels, picture) == 0


def test_focal_length_of_exif(tmp_path: Path, picture: np.ndarray):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 85
    photo = read_photo(save(tmp_path, "a.jpg", Image.fromarray(picture), exif=exif))
    assert photo.focal_length_35mm_mm == 85
    # a photo's diagonal is to its focal length in pixels as the film's is to that in millimetres
    assert photo.focal_px(85) == pytest.approx(85 * 150 / np.hypot(36, 24), rel=1e-3)


@pytest.mark.parametrize("value", [0, 60000])
def test_unknown_focal_length(tmp_path: Path, picture: np.ndarray, value: int):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = value
    assert read_photo(save(tmp_path, "a.jpg", Image.fromarray(picture), exif=exif)).focal_length_35mm_mm is None


def test_damaged_exif_does_not_spoil_the_photo(tmp_path: Path, picture: np.ndarray):
    path = save(
        tmp_path, "a.jpg", Image.fromarray(picture), quality=95, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"
    )
    assert difference(read_photo(path).pixels, picture) <= 2


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_animation_gives_its_first_frame(tmp_path: Path, name: str):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    photo = read_photo(save(tmp_path, name, frames[0], save_all=True, append_images=frames[1:], lossless=True))
    assert difference(photo.pixels, np.asarray(frames[0])) <= 1


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_large_photo_is_reduced(tmp_path: Path, picture: np.ndarray, name: str):
    large = Image.fromarray(picture).resize((2400, 1800), Image.Resampling.BICUBIC)
    photo = read_photo(save(tmp_path, name, large), max_side_px=240)
    assert photo.pixels.shape == (180, 240, 3)
    assert (photo.original_width, photo.original_height) == (2400, 1800)
    expected = np.asarray(Image.fromarray(picture).resize((240, 180), Image.Resampling.BICUBIC))
    assert difference(photo.pixels, expected) <= 3


def test_checksum_is_of_the_file(tmp_path: Path, picture: np.ndarray):
    path = save(tmp_path, "a.png", Image.fromarray(picture))
    assert read_photo(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# --- what is refused ------------------------------------------------------------------------------------------------


def jpeg_bytes(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def png_header_only(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))


REFUSED = {
    "truncated.jpg": (lambda picture: jpeg_bytes(picture)[:-900], "photo_damaged"),
    "header_only.jpg": (lambda picture: jpeg_bytes(picture)[:40], "photo_not_an_image"),
    "truncated.png": (lambda picture: deep_png(picture)[:200], "photo_damaged"),
    "text.jpg": (lambda _picture: b"Dear friend, here is my photo.\n", "photo_not_an_image"),
    "empty.jpg": (lambda _picture: b"", "photo_empty"),
    "noise.jpg": (lambda _picture: np.random.default_rng(1).bytes(5000), "photo_not_an_image"),
    "postscript.jpg": (lambda _picture: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "photo_not_an_image"),
    "huge.png": (lambda _picture: png_header_only(20_000, 20_000), "photo_too_many_pixels"),
    "large.png": (lambda _picture: png_header_only(MAX_PIXELS // 10_000 + 1, 10_000), "photo_too_many_pixels"),
    "one.png": (lambda _picture: png_header_only(1, 1), "photo_too_small"),
    "thin.png": (lambda _picture: png_header_only(5000, 3), "photo_too_small"),
    "phone.heic": (lambda _picture: b"\0\0\0\x18ftypheic" + bytes(400), "photo_heic"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(tmp_path: Path, picture: np.ndarray, name: str):
    make, code = REFUSED[name]
    path = tmp_path / name
    path.write_bytes(make(picture))
    with pytest.raises(PhotoError) as refusal:
        read_photo(path)
    assert refusal.value.code == code
    assert name in refusal.value.message
    assert refusal.value.hint


def test_folder_is_not_a_photo(tmp_path: Path):
    with pytest.raises(PhotoError, match="not a file"):
        read_photo(tmp_path)


def test_missing_file(tmp_path: Path):
    with pytest.raises(PhotoError, match="no file"):
        read_photo(tmp_path / "nothing.jpg")


def test_impossible_name(tmp_path: Path):
    with pytest.raises(PhotoError):
        read_photo(tmp_path / ("x" * 5000 + ".jpg"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_hang(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match="not a file"):
        read_photo(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF decoder")
def test_avif_is_read_where_pillow_can(tmp_path: Path, picture: np.ndarray):
    photo = read_photo(save(tmp_path, "a.avif", Image.fromarray(picture), quality=95))
    assert difference(photo.pixels, picture) <= 4
