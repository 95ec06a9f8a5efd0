"""The one error that a user, rather than the code, can mend."""

from collections.abc import Iterable


class InputError(ValueError):
    """What was given cannot be used; the message says what it was and how to mend it.

    The command line prints it as one sentence and exits with code 2, without a traceback.
    """


def listed(values: Iterable[object], most: int = 8) -> str:
    """Return values as a sentence names them: the first ones, and how many more there are.

    Args:
        values: In the order to name them.
        most: Number of values to name.

    Example:
        >>> listed([1, 2, 3], most=2)
        '1, 2 and 1 more'
    """
    named = [str(value) for value in values]
    return ", ".join(named[:most]) + f" and {len(named) - most} more" * (len(named) > most)
