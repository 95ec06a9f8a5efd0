"""Which image files and mask files are refused, by what their heads say."""

from pyg_mllc.data.file_headers import Head
from pyg_mllc.errors import InputError


def check_head(head: Head, name: str) -> None:
    """Raise if a file holds more than one picture, or channels of unknown meaning.

    Args:
        head: What the file says of itself.
        name: What it is called in the message.

    Raises:
        InputError: If so.
    """
    if head.pages > 1:
        raise InputError(
            f"{name} holds {head.pages} pictures, and one is expected: save the one that is meant "
            "as a file of its own."
        )
    if not head.pages:
        raise InputError(f"{name} holds only a preview of a raw photo: save the photo as PNG.")
    if head.unknown:
        raise InputError(
            f"{name} has {head.channels} channels, {head.unknown} of them neither color nor "
            "transparency: save the one (gray) or three (RGB) that are meant."
        )


def check_image(head: Head, name: str) -> None:
    """Raise if the file of an image holds more than RGB of 8 bits can keep.

    Args:
        head: See `check_head`.
        name: See `check_head`.

    Raises:
        InputError: If so.
    """
    check_head(head, name)
    if head.bits > 8 or head.numbers != "unsigned":
        kind = "" if head.numbers == "unsigned" else f" ({head.numbers} numbers)"
        raise InputError(
            f"{name} has {'more than 8' if head.bits > 8 else 8} bits per channel{kind}, and "
            "nothing says which values are black and white: save it with 8 unsigned bits."
        )


def check_mask(head: Head, name: str) -> None:
    """Raise if the numbers or colors of a mask are not those that somebody stored.

    Args:
        head: See `check_head`.
        name: See `check_head`.

    Raises:
        InputError: If so.
    """
    check_head(head, name)
    if head.lossy:
        raise InputError(
            f"{name} is {head.lossy}, which changes the numbers and colors of a mask: save "
            "it as PNG."
        )
    if head.bits > 8 and head.channels > 1:
        raise InputError(
            f"{name} has {head.bits} bits in each of {head.channels} channels: save the mask with "
            "one channel of class ids, or with colors of 8 bits."
        )
    if head.numbers == "float":
        raise InputError(f"{name} stores float numbers: save the mask with whole numbers, as PNG.")
    if head.bits > 32:
        raise InputError(f"{name} has {head.bits} bits per pixel: save the mask with 8 or 16.")
    if head.inverted and head.bits > 1:
        raise InputError(
            f"{name} stores 0 as white (PhotometricInterpretation 0), so that its ids and what it "
            "shows differ: save the mask as PNG."
        )
