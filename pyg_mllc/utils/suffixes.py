"""Suffixes of image files: of those that are read, and of those that are passed over."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from PIL import Image

from pyg_mllc.errors import listed

with suppress(ImportError):
    from pillow_heif import register_heif_opener

    register_heif_opener()  # from here on Pillow opens HEIC

HEIF = frozenset({".heic", ".heif", ".hif"})
ARRAYS = frozenset({".npy", ".npz"})
MORE = frozenset(  # of images, volumes, documents and videos
    ".avif .webp .jp2 .j2k .jxl .jxr .wdp .exr .hdr .eps .ps .pdf .svg .ai .xcf .kra .sid .ecw "
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .raw .3fr .iiq .x3f "
    ".mat .h5 .hdf5 .nc .dcm .nii .nii.gz .mha .nrrd .czi .lif .nd2 .svs .ndpi .vsi "
    ".mp4 .m4v .mov .avi .mkv .webm .wmv .mts".split()
)
SIDE = frozenset(  # files that usually lie beside images and are none
    ".txt .csv .tsv .json .jsonl .geojson .xml .yaml .yml .toml .ini .cfg .md .rst .html .db .log "
    ".lnk .py .pyc .ipynb .sh .pkl .pt .pth .ckpt .xlsx .docx .xmp .aae .thm .tfw .pgw .jgw .wld "
    ".prj .cpg .shp .shx .dbf .ovr .sha256 .md5 .zip .tar .gz .part .tmp .lock".split()
)


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of all files that Pillow reads, except PostScript, which is a program."""
    known = Image.registered_extensions()
    return frozenset(s for s, kind in known.items() if kind in Image.OPEN) - {".eps", ".ps"}


def is_unsupported_image(path: Path, read: Collection[str]) -> bool:
    """Return whether a file seems to hold an image or an array of a format that is not read.

    Files of other suffixes are opened: some images have no suffix, or an unusual one.

    Args:
        path: The file.
        read: Suffixes that are read, in lower case.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in read:
        return False
    if suffix in image_suffixes() | HEIF | ARRAYS or name.endswith(tuple(MORE)):
        return True
    if suffix in SIDE:
        return False
    with suppress(Exception), Image.open(path):  # decoders raise errors of nearly every kind
        return True
    return False


def sort_out(paths: Iterable[Path], read: Collection[str]) -> tuple[list[Path], list[Path]]:
    """Return the files that are read, and those that are passed over, both sorted.

    Args:
        paths: Files, of which those that hold no image at all are left out.
        read: Suffixes that are read, in lower case.
    """
    paths = sorted(paths)
    known = [path for path in paths if path.suffix.lower() in read]
    return known, [path for path in paths if is_unsupported_image(path, read)]


def describe_skipped(paths: Sequence[Path]) -> str:
    """Return a sentence that counts and names files that are passed over, and tells the mend."""
    named = listed(sorted(paths), most=5)
    count = "1 file is" if len(paths) == 1 else f"{len(paths)} files are"
    return f"{count} passed over, in formats that are not read here: {named}; {mend(paths)}"


def mend(paths: Sequence[Path]) -> str:
    """Return what to do with files of formats that are not read."""
    suffixes = {path.suffix.lower() for path in paths}
    heif = bool(suffixes & HEIF - image_suffixes())
    parts = ["pip install pillow-heif for HEIC"] if heif else []
    if suffixes - HEIF or not heif:
        parts.append("convert them to PNG" if len(paths) > 1 else "convert it to PNG")
    return f"{' and '.join(parts)}, or take {'them' if len(paths) > 1 else 'it'} out"
