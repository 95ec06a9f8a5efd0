"""What kind of value an option takes."""

from typing import Any

import numpy as np

from pyg_mllc.errors import InputError

KINDS: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a word",
}  # fmt: skip


def check_kind(name: str, value: Any, kind: Any) -> None:
    """Refuse a value of another kind; a whole number is a number, true and false are none.

    Args:
        name: of the option.
        value: what was given for it.
        kind: `int`, `float`, `bool` or `str`; any other takes all values.

    Raises:
        InputError: if so, saying what was given.

    >>> check_kind("lr", 1, float)
    >>> check_kind("steps", True, int)
    Traceback (most recent call last):
    pyg_mllc.errors.InputError: steps=True is not a whole number
    """
    taken: Any = (int, float) if kind is float else kind
    truth = kind in (int, float) and isinstance(value, bool)
    if kind in KINDS and (truth or not isinstance(value, taken)):
        raise InputError(f"{name}={'null' if value is None else value} is not {KINDS[kind]}")


def check_index(index: int, length: int) -> int:
    """Give the position that an index, possibly negative, means.

    Raises:
        IndexError: If there is none; this is also what ends a ``for`` loop over a data set.
    """
    if not -length <= index < length:
        raise IndexError(f"sample {index} of a data set that has {length}")
    return index % length


def check_count(option: str, value: int, minimum: int) -> None:
    """Refuse a value that is no whole number of at least ``minimum``.

    Raises:
        InputError: If so, naming the option.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InputError(f"{option}={value} must be a whole number of at least {minimum}.")


def evenly_spaced(length: int, count: int | None) -> list[int]:
    """Give at most ``count`` of ``length`` positions, evenly spaced from first to last.

    Example:
        >>> evenly_spaced(101, 5)
        [0, 25, 50, 75, 100]
    """
    if count is None or count >= length:
        return list(range(length))
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


def check_size(size: Any, option: str = "data.size") -> tuple[int, int]:
    """Give the size as a plain ``(H, W)`` tuple, whatever sequence a configuration holds.

    Raises:
        InputError: If it is not two positive whole numbers.
    """
    sides = [] if isinstance(size, str | int | float | None) else list(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise InputError(
            f"{option}={size} must be two positive whole numbers of pixels, [height, width]."
        )
    return sides[0], sides[1]
