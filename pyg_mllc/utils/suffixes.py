"""Suffixes of supported and of unsupported image files."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from PIL import Image

from pyg_mllc.errors import listed

with suppress(ImportError):
    from pillow_heif import register_heif_opener

    register_heif_opener()  # lets Pillow open HEIC

HEIF = frozenset({".heic", ".heif", ".hif"})
ARRAYS = frozenset({".npy", ".npz"})
UNSUPPORTED = frozenset(  # images, volumes, documents and videos
    ".avif .webp .jp2 .j2k .jxl .jxr .wdp .exr .hdr .eps .ps .pdf .svg .ai .xcf .kra .sid .ecw "
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .raw .3fr .iiq .x3f "
    ".mat .h5 .hdf5 .nc .dcm .nii .nii.gz .mha .nrrd .czi .lif .nd2 .svs .ndpi .vsi "
    ".mp4 .m4v .mov .avi .mkv .webm .wmv .mts".split()
)
NO_IMAGES = frozenset(  # files that are often stored beside images
    ".txt .csv .tsv .json .jsonl .geojson .xml .yaml .yml .toml .ini .cfg .md .rst .html .db .log "
    ".lnk .py .pyc .ipynb .sh .pkl .pt .pth .ckpt .xlsx .docx .xmp .aae .thm .tfw .pgw .jgw .wld "
    ".prj .cpg .shp .shx .dbf .ovr .sha256 .md5 .zip .tar .gz .part .tmp .lock".split()
)


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of all files that Pillow reads, except PostScript, which is a program."""
    known = Image.registered_extensions()
    return frozenset(s for s, kind in known.items() if kind in Image.OPEN) - {".eps", ".ps"}


def is_unsupported_image(path: Path, supported: Collection[str]) -> bool:
    """Return whether a file seems to be an image or array of an unsupported format.

    Files of unknown suffixes are opened, because some images have no suffix or an unusual one.

    Args:
        path: Path of the file.
        supported: Supported suffixes, in lower case.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in supported:
        return False
    if suffix in image_suffixes() | HEIF | ARRAYS or name.endswith(tuple(UNSUPPORTED)):
        return True
    if suffix in NO_IMAGES:
        return False
    with suppress(Exception), Image.open(path):  # decoders raise nearly every kind of error
        return True
    return False


def split_supported(
    paths: Iterable[Path], supported: Collection[str]
) -> tuple[list[Path], list[Path]]:
    """Split files into those of supported formats and images of unsupported formats.

    Args:
        paths: Paths of files; files that are no images are left out.
        supported: Supported suffixes, in lower case.

    Returns:
        Supported and unsupported files, both sorted.
    """
    paths = sorted(paths)
    known = [path for path in paths if path.suffix.lower() in supported]
    return known, [path for path in paths if is_unsupported_image(path, supported)]


def describe_skipped(paths: Sequence[Path]) -> str:
    """Describe skipped files of unsupported formats: their number, names and a remedy.

    Args:
        paths: Paths of the files, at least one.

    Returns:
        A sentence without its final period.
    """
    named = listed(sorted(paths), most=5)
    count = "1 file is" if len(paths) == 1 else f"{len(paths)} files are"
    advice = conversion_advice(paths)
    return f"{count} passed over, in formats that are not read here: {named}; {advice}"


def conversion_advice(paths: Sequence[Path]) -> str:
    """Return advice on files of unsupported formats.

    Args:
        paths: Paths of the files, at least one.
    """
    suffixes = {path.suffix.lower() for path in paths}
    heif = bool(suffixes & HEIF - image_suffixes())
    parts = ["pip install pillow-heif for HEIC"] if heif else []
    if suffixes - HEIF or not heif:
        parts.append("convert them to PNG" if len(paths) > 1 else "convert it to PNG")
    return f"{' and '.join(parts)}, or take {'them' if len(paths) > 1 else 'it'} out"
