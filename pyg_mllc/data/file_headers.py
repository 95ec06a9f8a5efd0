"""What an image file says of itself, read before its pixels."""

from typing import Any, BinaryIO, NamedTuple

from PIL import ExifTags, Image

from pyg_mllc.data import tiff

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


class Head(NamedTuple):
    """What a file says of its picture.

    Args:
        format: Of the file, in Pillow's words.
        channels: Number of channels.
        unknown: Number of channels that are neither color nor transparency.
        bits: Of the deepest channel.
        numbers: ``unsigned``, ``signed`` or ``float``.
        pages: Number of pictures, without previews.
        page: Position of the first of them.
        lossy: What the file is if its compression changes numbers, else empty.
        inverted: Whether the file is a gray TIFF whose 0 means white.
        stretched: Largest stored gray, and the gray that Pillow reads it as.
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


def tiff_head(file: BinaryIO) -> Head | None:
    """Return the head of a TIFF file, or None for a file of another format."""
    file.seek(0)
    if file.read(4) not in tiff.STARTS:
        return None
    directories = tiff.read_directories(file)
    pages = tiff.pages_of(directories)
    tags = directories[pages[0] if pages else 0]
    count = max(len(pages), tiff.planes_of(tags)) if pages else 0
    return _of_tags(tags)._replace(pages=count, page=pages[0] if pages else 0)


def _of_tags(tags: Any) -> Head:
    bits, numbers = tiff.numbers_of(tags)
    return Head(
        "TIFF", *tiff.channels_of(tags), bits, numbers,
        lossy="a TIFF with lossy compression" if tiff.is_lossy(tags) else "",
        inverted=tiff.is_inverted(tags),
        stretched=(2**bits - 1, 255) if bits in (2, 4) else (255, 255),
    )  # fmt: skip


def head_of(picture: Image.Image, file: BinaryIO | None = None) -> Head:
    """Return the head of a picture that Pillow has opened.

    Args:
        picture: Not decoded yet, or made in memory.
        file: Its file, without which pages and some depths stay unknown.
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
    return Head(
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
    """How the pixels of an opened file are stored, in Pillow's words."""
    tile: Any = getattr(picture, "tile", None)
    args = tile[0][3] if tile else ""
    return (str(args[0]), *args[1:]) if isinstance(args, tuple) and args else (str(args),)


def _bits_of_codec(start: bytes) -> int:
    """Bits of a channel by the first bytes of a JPEG 2000 or AVIF file."""
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
    """Whether a file is a WebP that holds the lossy kind of picture."""
    file.seek(8)
    if file.read(4) != b"WEBP":
        return False
    while len(head := file.read(8)) == 8:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8 "
        file.seek((int.from_bytes(head[4:], "little") + 1) // 2 * 2, 1)
    return False


def orientation_of(picture: Image.Image, file: BinaryIO) -> int:
    """Return the EXIF orientation of an opened file, 1 to 8, without decoding its pixels."""
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
