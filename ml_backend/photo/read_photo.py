"""Reads a photograph as people bring it, or says in one sentence what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError, features

from addon.exchange.errors import PhotoError

# more detail than the largest texture can hold
MAX_SIDE_PX = 4096
# beyond this a decoder would take gigabytes (20,000 x 20,000 px is 400 million); no camera makes larger photos
MAX_PIXELS = 160_000_000
MAX_FILE_BYTES = 512 * 2**20
# a face needs about 40 px; smaller pictures hold none
MIN_SIDE_PX = 32
# transparent pixels are seen over this grey
BACKGROUND_GREY = 128
# formats that people keep photos in; others of Pillow's start outside programs (EPS) or are no photos
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "TGA", "JPEG2000", "AVIF", "HEIF")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
# what each value of EXIF's orientation asks for
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = (5, 6, 7, 8)
# diagonal of the 36 x 24 mm film that EXIF's focal length is converted to
FILM_DIAGONAL_MM = 43.27
# a damaged file makes Pillow raise any of these, by format
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error,
    ImageCms.PyCMSError,
)  # fmt: skip


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
        """Focal length in pixels of `pixels`, of one given for 35 mm film."""
        height, width = self.pixels.shape[:2]
        return focal_35mm_mm / FILM_DIAGONAL_MM * float(np.hypot(width, height))


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
        # the size is checked below, from the header; what else Pillow warns of is not for the user
        warnings.simplefilter("ignore")
        image = _open(path, content)
        width, height = _check_size(path, image)
        exif = _exif(image)
        orientation = exif.get(ExifTags.Base.Orientation)
        pixels = _decode(path, image, max_side_px, _TURNS.get(orientation))
    if orientation in _QUARTER_TURNS:
        width, height = height, width
    return Photo(
        pixels=pixels,
        # a file name may hold bytes that are no text; avatar.json may not
        original_name=path.name.encode("utf-8", "replace").decode("utf-8"),
        sha256=hashlib.sha256(content).hexdigest(),
        original_width=width,
        original_height=height,
        focal_length_35mm_mm=_focal_length(exif),
    )


def _read_file(path: Path) -> bytes:
    try:
        if not path.exists():
            raise PhotoError("photo_missing", f"There is no file {path}.", "Check the path of the photo.")
        if not path.is_file():
            raise PhotoError("photo_not_a_file", f"{path} is not a file.", "Choose a single photo.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PhotoError("photo_too_large", f"{path.name} is larger than 512 MiB.", "Save it as a JPEG first.")
        content = path.read_bytes()
    except OSError as error:
        raise PhotoError(
            "photo_unreadable", f"{path.name} could not be read: {error.strerror}.", "Check its path and access rights."
        ) from error
    if not content:
        raise PhotoError("photo_empty", f"{path.name} is empty.", "Copy the photo again.")
    return content


def _open(path: Path, content: bytes) -> Image.Image:
    _refuse_undecodable(path, content)
    try:
        Image.init()
        return Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except (UnidentifiedImageError, *_DAMAGE) as error:
        raise PhotoError(
            "photo_not_an_image",
            f"{path.name} is not an image that can be read.",
            "Save the photo as JPEG or PNG first.",
        ) from error


def _refuse_undecodable(path: Path, content: bytes) -> None:
    """Refuse, by its own name, a photo of a format that this installation has no decoder for."""
    if content[4:8] != b"ftyp":
        return
    for kind, brands, support in (
        ("HEIC", _HEIC_BRANDS, _heif_support),
        ("AVIF", _AVIF_BRANDS, lambda: features.check("avif")),
    ):
        if content[8:12] in brands and not support():
            raise PhotoError(
                "photo_heic", f"{path.name} is a {kind} photo.", "Export it as JPEG or PNG and choose that file."
            )


def _heif_support() -> bool:
    """Whether the user has installed the Pillow plug-in for HEIC."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _check_size(path: Path, image: Image.Image) -> tuple[int, int]:
    """Width and height as the header says."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(path, (width, height))
    if min(width, height) < MIN_SIDE_PX:
        raise PhotoError(
            "photo_too_small", f"{path.name} is only {width} x {height} pixels.", "Choose a larger photo of the face."
        )
    return width, height


def _exif(image: Image.Image) -> Image.Exif:
    """The EXIF data; damaged ones count as none, since the picture itself may be whole."""
    try:
        return image.getexif()
    except _DAMAGE:
        return Image.Exif()


def _too_many_pixels(path: Path, size: tuple[int, int] | None = None) -> PhotoError:
    sides = f" ({size[0]} x {size[1]} pixels)" if size else ""
    return PhotoError(
        "photo_too_many_pixels",
        f"{path.name} is too large{sides}.",
        "Scale it down to 10,000 pixels on a side or less.",
    )


def _decode(path: Path, image: Image.Image, max_side_px: int, turn: Image.Transpose | None) -> np.ndarray:
    """Decode, reduce to the largest side, convert to 8-bit sRGB, turn upright; (H,W,3) uint8."""
    try:
        # JPEG decodes to a half, a quarter or an eighth at once, where that suffices
        image.draft(None, (max_side_px, max_side_px))
        image.load()
        profile = image.info.get("icc_profile")
        image = _reduced(_to_8_bit(image), max_side_px)
        image = _to_srgb(image, profile)
        return np.asarray(image if turn is None else image.transpose(turn))
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(path) from error
    except _DAMAGE as error:
        raise PhotoError(
            "photo_damaged", f"{path.name} is damaged or cut off.", "Copy the photo again or choose another."
        ) from error


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float greys to 8 bits: integers by their type's range, floats by their largest value."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float32)) * (255.0 / max(1.0, float(np.nanmax(values))))
    elif image.mode.startswith("I;16") or values.max() > 255:
        # Pillow may hand 16 bits over in 32
        values = values.astype(np.int32) >> (8 if values.max() <= 65535 else 23)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _reduced(image: Image.Image, max_side_px: int) -> Image.Image:
    factor = max_side_px / max(image.size)
    if factor >= 1:
        return image
    if image.mode in ("P", "PA", "1"):
        # indices of a palette cannot be averaged
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    size = tuple(max(1, round(side * factor)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Composite what is transparent over grey and convert colours by the profile."""
    if image.mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        backdrop = Image.new("RGBA", image.size, (BACKGROUND_GREY,) * 3 + (255,))
        image = Image.alpha_composite(backdrop, image).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            # a profile that does not fit its image is as good as none
            return image.convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return image.convert("RGB")


def _focal_length(exif: Image.Exif) -> float | None:
    try:
        millimetres = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm))
    except (*_DAMAGE, ZeroDivisionError):
        return None
    # 0 means unknown; beyond a metre and a half it is a telescope or nonsense
    return millimetres if 5 <= millimetres <= 1500 else None
