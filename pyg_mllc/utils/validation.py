"""Checks of option values, with one clear sentence for what is wrong."""

from typing import Any

from pyg_mllc.errors import InputError

TYPES: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a word",
}  # fmt: skip


def check_type(option: str, value: Any, kind: Any) -> None:
    """Check that a value has the type of its option; integers are numbers, booleans are not.

    Args:
        option: Name of the option.
        value: Value to check.
        kind: `int`, `float`, `bool` or `str`; any other type accepts all values.

    Raises:
        InputError: If the value has another type.

    Example:
        >>> check_type("lr", 1, float)
        >>> check_type("steps", True, int)
        Traceback (most recent call last):
        pyg_mllc.errors.InputError: steps=True is not a whole number
    """
    accepted: Any = (int, float) if kind is float else kind
    is_boolean = kind in (int, float) and isinstance(value, bool)
    if kind in TYPES and (is_boolean or not isinstance(value, accepted)):
        raise InputError(f"{option}={'null' if value is None else value} is not {TYPES[kind]}")


def check_count(option: str, value: int, minimum: int) -> None:
    """Check that a value is a whole number of at least ``minimum``.

    Args:
        option: Name of the option.
        value: Value to check.
        minimum: Smallest valid value.

    Raises:
        InputError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InputError(f"{option}={value} must be a whole number of at least {minimum}.")


def check_size(option: str, size: Any) -> tuple[int, int]:
    """Check that a size is a sequence of two positive whole numbers.

    Args:
        option: Name of the option.
        size: Height and width.

    Returns:
        The size as a tuple (H, W).

    Raises:
        InputError: If it is not.
    """
    sides = [] if isinstance(size, str | int | float | None) else list(size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise InputError(
            f"{option}={size} must be two positive whole numbers of pixels, [height, width]."
        )
    return sides[0], sides[1]


def check_index(index: int, length: int) -> int:
    """Check that an index, possibly negative, is in range.

    Args:
        index: Index of a sample.
        length: Number of samples.

    Returns:
        The index, counted from 0.

    Raises:
        IndexError: If it is out of range, which also ends a ``for`` loop over a data set.
    """
    if not -length <= index < length:
        raise IndexError(f"sample {index} of a data set that has {length}")
    return index % length
