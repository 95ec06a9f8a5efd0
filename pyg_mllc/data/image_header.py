"""Headers of image and mask files, and the checks that run before pixels are decoded."""

from typing import Any, BinaryIO, NamedTuple

from PIL import ExifTags, Image

from pyg_mllc.data import tiff
from pyg_mllc.errors import InputError

ORIENTATION = ExifTags.Base.Orientation
LOSSY = {  # formats that change numbers, or may
    "JPEG": "a JPEG",
    "MPO": "a JPEG",
    "JPEG2000": "a JPEG 2000 file",
    "AVIF": "an AVIF file",
    "HEIF": "a HEIF file",
}
FEW_BITS = {"L;2": 3, "L;4": 15}  # largest gray, which Pillow brings to 255
_START = 2**16  # bytes that tell the depth of some formats
_TURNING = (b"eXIf", b"tEXtRaw profile", b"zTXtRaw profile", b"iTXtRaw profile", b"iTXtXML:com")


class ImageHeader(NamedTuple):
    """Properties of an image file from its header.

    Args:
        format: File format, by Pillow's name.
        channels: Number of channels.
        unknown: Number of channels that are neither color nor transparency.
        bits: Bits of the deepest channel.
        numbers: ``unsigned``, ``signed`` or ``float``.
        pages: Number of images in the file, without previews.
        page: Position of the first of them.
        lossy: Description of the file if its compression changes values, else empty.
        inverted: Whether the file is a gray TIFF whose 0 means white.
        stretched: Largest stored gray, and the gray that Pillow decodes it to.
    """

    format: str
    channels: int
    unknown: int = 0
    bits: int = 8
    numbers: str = "unsigned"
    pages: int = 1
    page: int = 0
    lossy: str = ""
    inverted: bool = False
    stretched: tuple[int, int] = (255, 255)


def read_tiff_header(file: BinaryIO) -> ImageHeader | None:
    """Read the header of a TIFF file; return None for a file of another format."""
    file.seek(0)
    if file.read(4) not in tiff.STARTS:
        return None
    directories = tiff.read_directories(file)
    pages = tiff.pages_of(directories)
    tags = directories[pages[0] if pages else 0]
    count = max(len(pages), tiff.planes_of(tags)) if pages else 0
    return _of_tags(tags)._replace(pages=count, page=pages[0] if pages else 0)


def _of_tags(tags: Any) -> ImageHeader:
    bits, numbers = tiff.numbers_of(tags)
    return ImageHeader(
        "TIFF", *tiff.channels_of(tags), bits, numbers,
        lossy="a TIFF with lossy compression" if tiff.is_lossy(tags) else "",
        inverted=tiff.is_inverted(tags),
        stretched=(2**bits - 1, 255) if bits in (2, 4) else (255, 255),
    )  # fmt: skip


def read_header(picture: Image.Image, file: BinaryIO | None = None) -> ImageHeader:
    """Read the header of an image that Pillow has opened.

    Args:
        picture: Image, not decoded yet or made in memory.
        file: Its file; without it, pages and some bit depths stay unknown.

    Returns:
        The header.
    """
    if hasattr(picture, "tag_v2"):
        return _of_tags(picture.tag_v2)
    start = b""
    if file and picture.format in ("JPEG2000", "AVIF", "SGI"):
        file.seek(0)
        start = file.read(_START)
    unnamed = start != b"" and picture.format == "JPEG2000" and b"cdef" not in start
    stored = _stored(picture)
    stretched = FEW_BITS.get(stored[0], 255), 255
    bits = 16 if picture.mode[0] in "IF" or ";16B" in stored[0] or "BC6" in str(stored) else 8
    if picture.format == "PPM" and isinstance(stored[-1], int) and picture.mode != "F":
        stretched = stored[-1], 65535 if picture.mode == "I" else 255
        bits = stored[-1].bit_length()
    elif start:
        bits = max(bits, 8 * start[3] if picture.format == "SGI" else _bits_of_codec(start))
    return ImageHeader(
        picture.format or "",
        len(picture.getbands()),
        int(unnamed and picture.mode in ("LA", "RGBA")),
        bits,
        "float" if picture.mode[0] == "F" else "unsigned",
        pages=_pages(picture) if file else 1,
        lossy="a lossy WebP" if file and _is_vp8(file) else LOSSY.get(picture.format or "", ""),
        stretched=stretched,
    )


def _stored(picture: Image.Image) -> tuple[Any, ...]:
    """Return how Pillow describes the stored pixels of an opened file."""
    tile: Any = getattr(picture, "tile", None)
    args = tile[0][3] if tile else ""
    return (str(args[0]), *args[1:]) if isinstance(args, tuple) and args else (str(args),)


def _bits_of_codec(start: bytes) -> int:
    """Return the bits of a channel by the first bytes of a JPEG 2000 or AVIF file."""
    if (place := start.find(b"\xff\x4f\xff\x51")) >= 0 and len(start) > place + 42:
        channels = start[place + 42 :: 3][: int.from_bytes(start[place + 40 : place + 42], "big")]
        return max((depth & 127) + 1 for depth in channels)
    if (place := start.find(b"av1C")) >= 0 and len(start) > place + 6:
        return 10 if start[place + 6] & 0x40 else 8
    return 8


def _pages(picture: Any) -> int:
    if picture.format == "PSD":  # what lies behind the first page are its layers
        return 1
    if picture.format in ("ICO", "ICNS"):
        return len(picture.info.get("sizes", [0]))
    if picture.format != "MPO":
        return getattr(picture, "n_frames", 1)
    sizes = []
    for place in range(picture.n_frames):  # smaller ones are previews or depth maps
        picture.seek(place)
        sizes.append(picture.size)
    picture.seek(0)
    return sizes.count(sizes[0])


def _is_vp8(file: BinaryIO) -> bool:
    """Return whether a file is a lossy WebP."""
    file.seek(8)
    if file.read(4) != b"WEBP":
        return False
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8 "
        file.seek((int.from_bytes(head[4:], "little") + 1) // 2 * 2, 1)
    return False


def read_orientation(picture: Image.Image, file: BinaryIO) -> int:
    """Read the EXIF orientation of an opened file, 1 to 8, without decoding its pixels."""
    if picture.format == "PNG" and not _png_may_turn(file):
        return 1  # Pillow would decode the picture to look for EXIF behind it
    value = picture.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _png_may_turn(file: BinaryIO) -> bool:
    file.seek(8)
    while len(head := file.read(8)) == 8:
        start, length = file.tell(), int.from_bytes(head[:4], "big")
        if (head[4:] + file.read(min(length, 16))).startswith(_TURNING):
            return True
        file.seek(start + length + 4)
    return False


def check_image_header(header: ImageHeader, name: str) -> None:
    """Check that the header of an image describes one picture of up to 8 bits per channel.

    Args:
        header: Header of the file.
        name: Name of the file in messages.

    Raises:
        InputError: If it does not.
    """
    _check_header(header, name)
    if header.bits > 8 or header.numbers != "unsigned":
        kind = "" if header.numbers == "unsigned" else f" ({header.numbers} numbers)"
        raise InputError(
            f"{name} has {'more than 8' if header.bits > 8 else 8} bits per channel{kind}, and "
            "nothing says which values are black and white: save it with 8 unsigned bits."
        )


def check_mask_header(header: ImageHeader, name: str) -> None:
    """Check that the header of a mask describes the ids or colors that its owner stored.

    Args:
        header: Header of the file.
        name: Name of the file in messages.

    Raises:
        InputError: If the file holds several images, is lossy, or has numbers that are no ids.
    """
    _check_header(header, name)
    if header.lossy:
        raise InputError(
            f"{name} is {header.lossy}, which changes the numbers and colors of a mask: save "
            "it as PNG."
        )
    if header.bits > 8 and header.channels > 1:
        raise InputError(
            f"{name} has {header.bits} bits in each of {header.channels} channels: save the mask "
            "with one channel of class ids, or with colors of 8 bits."
        )
    if header.numbers == "float":
        raise InputError(f"{name} stores float numbers: save the mask with whole numbers, as PNG.")
    if header.bits > 32:
        raise InputError(f"{name} has {header.bits} bits per pixel: save the mask with 8 or 16.")
    if header.inverted and header.bits > 1:
        raise InputError(
            f"{name} stores 0 as white (PhotometricInterpretation 0), so that its ids and what it "
            "shows differ: save the mask as PNG."
        )


def _check_header(header: ImageHeader, name: str) -> None:
    """Raise if a file holds several images, or channels of unknown meaning."""
    if header.pages > 1:
        raise InputError(
            f"{name} holds {header.pages} pictures, and one is expected: save the one that is "
            "meant as a file of its own."
        )
    if not header.pages:
        raise InputError(f"{name} holds only a preview of a raw photo: save the photo as PNG.")
    if header.unknown:
        raise InputError(
            f"{name} has {header.channels} channels, {header.unknown} of them neither color nor "
            "transparency: save the one (gray) or three (RGB) that are meant."
        )
