"""Error for problems that the user can solve."""

from collections.abc import Iterable


class InputError(ValueError):
    """Error for unusable input; the message names the problem and its remedy.

    The command line prints it as one sentence and exits with code 2, without a traceback.
    """


def listed(values: Iterable[object], most: int = 8) -> str:
    """Format values for a sentence: the first ones, and the number of the rest.

    Args:
        values: In the order to name them.
        most: Number of values to name.

    Example:
        >>> listed([1, 2, 3], most=2)
        '1, 2 and 1 more'
    """
    named = [str(value) for value in values]
    return ", ".join(named[:most]) + f" and {len(named) - most} more" * (len(named) > most)
