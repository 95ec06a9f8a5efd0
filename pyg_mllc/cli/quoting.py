"""Values as a shell gives them, in the quotes that Hydra's grammar asks for."""

import re
from pathlib import Path

# What Hydra takes unquoted; commas and brackets are left to it, for sweeps and lists.
PLAIN = re.compile(r"[A-Za-z0-9_/\\\-+.$%*@?|: ,]*")
LISTS = ("[", "{", "'", '"')


def quoted(argument: str) -> str:
    """Quote the value of `option=value` where Hydra would stumble over it, as over most paths.

    `~/` becomes the home folder, for most shells leave it as it is after a `=`.

    >>> quoted("input=été (1)/a&b.png"), quoted("k=20"), quoted("k=choice(1,2)")
    ("input='été (1)/a&b.png'", 'k=20', 'k=choice(1,2)')
    >>> quoted("pixel=3,4")
    "pixel='3,4'"
    """
    option, sign, value = argument.partition("=")
    if not sign or option.startswith("-") or value.startswith(LISTS) or "${" in value:
        return argument
    if value.startswith("~/"):
        value = str(Path(value).expanduser())
        argument = f"{option}={value}"
    several = "," in value and ("/" in value or option == "pixel")  # one path, one place
    if re.fullmatch(r"\w+\(.*\)", value) or (PLAIN.fullmatch(value) and not several):
        return argument
    inside = re.sub(r"(\\*)'", lambda m: 2 * m[1] + r"\'", value)
    inside = re.sub(r"(\\+)$", lambda m: 2 * m[1], inside)  # a backslash would quote the end
    return f"{option}='{inside}'"
