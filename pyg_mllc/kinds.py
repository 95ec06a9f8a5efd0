"""What kind of value an option takes."""

from typing import Any

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
