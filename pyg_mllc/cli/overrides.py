"""Quotes around values of the command line, for Hydra's grammar."""

import re
from pathlib import Path

# What Hydra takes unquoted; commas and brackets are left to it, for sweeps and lists.
PLAIN = re.compile(r"[A-Za-z0-9_/\\\-+.$%*@?|: ,]*")
LISTS = ("[", "{")
# Paths, which may look like a list, a number, or true or false, and are none.
PATHS = frozenset(
    "anchor_images anchors cache checkpoint image images input masks output resume root "
    "unlabeled_images val_images val_masks".split()
)
NO_PATH = re.compile(r"[-+]?[\d._]+(e[-+]?\d+)?|[-+]?(inf|nan)|true|false", re.IGNORECASE)
QUOTED = re.compile(r"""(["']).*\1""")


def quoted(argument: str) -> str:
    """Quote the value of `option=value` where Hydra's grammar needs quotes, as for most paths.

    `~/` becomes the home folder, because most shells leave it unchanged after `=`.

    Args:
        argument: word of the command line.

    Returns:
        The word, quoted or as it was.

    >>> quoted("input=été (1)/a&b.png"), quoted("k=20"), quoted("k=choice(1,2)")
    ("input='été (1)/a&b.png'", 'k=20', 'k=choice(1,2)')
    >>> quoted("pixel=3,4"), quoted("output=2026_01_31"), quoted("input=[1] photos")
    ("pixel='3,4'", "output='2026_01_31'", "input='[1] photos'")
    """
    option, sign, value = argument.partition("=")
    is_path = option.removeprefix("data.") in PATHS
    if not sign or option.startswith("-") or "${" in value or QUOTED.fullmatch(value):
        return argument
    if value.startswith(LISTS) and not is_path:
        return argument
    if value.startswith("~/"):
        value = str(Path(value).expanduser())
        argument = f"{option}={value}"
    whole = "," in value and (is_path or "/" in value or option == "pixel")  # one path, one place
    whole |= is_path and NO_PATH.fullmatch(value) is not None
    if re.fullmatch(r"\w+\(.*\)", value) or (PLAIN.fullmatch(value) and not whole):
        return argument
    return f"{option}={in_quotes(value)}"


def in_quotes(value: str) -> str:
    """Return a word in quotes, with Hydra's special characters escaped.

    Args:
        value: any text.
    """
    inside = re.sub(r"(\\*)'", lambda m: 2 * m[1] + r"\'", value)
    inside = re.sub(r"(\\+)$", lambda m: 2 * m[1], inside)  # a backslash would quote the end
    return f"'{inside}'"
