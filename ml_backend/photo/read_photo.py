"""Reads a photograph as people bring it, or says in one sentence what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from addon.exchange.errors import PhotoError

# more detail than the largest texture can hold
MAX_SIDE_PX = 4096
# beyond this a decoder would take gigabytes: 20,000 x 20,000 px is 400 million
MAX_PIXELS = 200_000_000
MAX_FILE_BYTES = 512 * 2**20
# a face needs about 40 px; smaller pictures hold none
MIN_SIDE_PX = 32
# transparent pixels are seen over this grey
BACKGROUND_GREY = 128
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif")


@dataclass(frozen=True)
class Photo:
    """A photo, upright.

    Attributes:
        pixels: (H,W,3) uint8 sRGB, at most MAX_SIDE_PX on a side.
        original_name: file name without its folder; sha256: of the file.
        original_width, original_height: pixels, upright, before any reduction.
        focal_length_35mm_mm: from EXIF, as on a 36 x 24 mm film; None where the file does not say.
    """

    pixels: np.ndarray
    original_name: str
    sha256: str
    original_width: int
    original_height: int
    focal_length_35mm_mm: float | None

    def focal_px(self, focal_35mm_mm: float) -> float:
        """Focal length in pixels of `pixels`, of one given for 35 mm film (diagonal 43.27 mm)."""
        height, width = self.pixels.shape[:2]
        return focal_35mm_mm / 43.27 * float(np.hypot(width, height))


def read_photo(path: Path, max_side_px: int = MAX_SIDE_PX) -> Photo:
    """Read a photo.

    Args:
        path: any format that Pillow reads.
        max_side_px: larger photos are reduced to this.

    Raises:
        PhotoError: the file is missing, not an image, damaged, too large or too small.
    """
    content = _read_file(path)
    with warnings.catch_warnings():
        # the size is checked below, from the header
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _open(path, content)
        _check_size(path, image)
        exif = image.getexif()
        image.draft(None, (max_side_px, max_side_px))
        upright = _decode(path, image)
    width, height = image.size if not _is_turned(exif) else image.size[::-1]
    factor = max_side_px / max(upright.size)
    if factor < 1:
        size = tuple(max(1, round(side * factor)) for side in upright.size)
        upright = upright.resize(size, Image.Resampling.LANCZOS)
    return Photo(
        pixels=np.asarray(upright),
        original_name=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        original_width=width,
        original_height=height,
        focal_length_35mm_mm=_focal_length(exif),
    )


def _read_file(path: Path) -> bytes:
    if not path.exists():
        raise PhotoError("photo_missing", f"There is no file {path}.", "Check the path of the photo.")
    if not path.is_file():
        raise PhotoError("photo_not_a_file", f"{path} is not a file.", "Choose a single photo.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise PhotoError("photo_too_large", f"{path.name} is larger than 512 MiB.", "Save it as a JPEG first.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PhotoError(
            "photo_unreadable", f"{path.name} could not be read: {error.strerror}.", "Check its access rights."
        ) from error
    if not content:
        raise PhotoError("photo_empty", f"{path.name} is empty.", "Copy the photo again.")
    return content


def _open(path: Path, content: bytes) -> Image.Image:
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS and not _heif_support():
        raise PhotoError(
            "photo_heic", f"{path.name} is a HEIC or AVIF photo.", "Export it as JPEG or PNG and choose that file."
        )
    try:
        return Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise PhotoError(
            "photo_not_an_image", f"{path.name} is not an image that can be read.", "Choose a JPEG, PNG, TIFF or WebP."
        ) from error


def _heif_support() -> bool:
    """Whether the user has installed the Pillow plug-in for HEIC."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _check_size(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(path, (width, height))
    if min(width, height) < MIN_SIDE_PX:
        raise PhotoError(
            "photo_too_small", f"{path.name} is only {width} x {height} pixels.", "Choose a larger photo of the face."
        )


def _too_many_pixels(path: Path, size: tuple[int, int] | None = None) -> PhotoError:
    sides = f" ({size[0]} x {size[1]} pixels)" if size else ""
    return PhotoError(
        "photo_too_many_pixels",
        f"{path.name} is too large{sides}.",
        "Scale it down to 10,000 pixels on a side or less.",
    )


def _decode(path: Path, image: Image.Image) -> Image.Image:
    """Decode to upright 8-bit sRGB."""
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        return _to_srgb(image)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, ImageCms.PyCMSError) as error:
        raise PhotoError(
            "photo_damaged", f"{path.name} is damaged or cut off.", "Copy the photo again or choose another."
        ) from error


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_8_bit(image)
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "RGBa", "PA"):
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        backdrop = Image.new("RGBA", image.size, (BACKGROUND_GREY,) * 3 + (255,))
        return Image.alpha_composite(backdrop, image).convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK", "L", "LAB"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            # a profile that does not fit its image is as good as none
            return image.convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float greys to 8 bits: 16-bit values by their range, others by their own largest."""
    values = np.asarray(image, np.float64)
    full = 65535.0 if image.mode.startswith("I;16") or values.max() > 255 else 255.0
    if image.mode == "F":
        full = max(1.0, float(values.max()))
    return Image.fromarray(np.clip(values / full * 255 + 0.5, 0, 255).astype(np.uint8))


def _is_turned(exif: Image.Exif) -> bool:
    """Whether EXIF orientation swaps width and height."""
    return exif.get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)


def _focal_length(exif: Image.Exif) -> float | None:
    value = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    try:
        millimetres = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # 0 means unknown; beyond a metre and a half it is a telescope or nonsense
    return millimetres if 5 <= millimetres <= 1500 else None
