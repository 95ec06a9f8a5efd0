"""Errors that a user can fix, printed as one sentence with exit code 2."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pyg_mllc.cli.config_checks import what_there_is
from pyg_mllc.errors import InputError

RENAMED = {  # options of 0.1 whose new names do not resemble them
    "method.anchors": "method.memory.anchors",
    "method.deep": "method.deep_supervision",
    "method.drop": "method.channel_dropout",
    "method.sight": "method.memory.encoder",
    "method.thresholds": "method.memory.class_thresholds",
    "trainer.lr": "optimizer.lr",
    "trainer.momentum": "optimizer.momentum",
    "trainer.optimizer": "optimizer",
    "trainer.schedule": "scheduler",
    "trainer.val_every": "trainer.val_check_interval",
    "trainer.weight_decay": "optimizer.weight_decay",
}


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error that the user can fix into one sentence and exit code 2."""
    try:
        yield
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        refuse(sentence)


def refuse(sentence: str, code: int = 2) -> NoReturn:
    """Print a sentence on the error output and exit.

    Args:
        sentence: what is wrong, and how to fix it.
        code: exit code.

    Raises:
        SystemExit: always.
    """
    print(f"mllc: {sentence}", file=sys.stderr)
    sys.exit(code)


def short(path: Path) -> Path:
    """Return a path relative to the current folder, if it lies inside.

    Args:
        path: absolute path.
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def sentence_of(error: BaseException | None) -> str | None:
    """Return one sentence for the user, or None if the user cannot fix the cause.

    Args:
        error: any error, or None.
    """
    hydras = None
    if isinstance(error, OSError) and error.filename:
        mend = "check this path and the space there (output=<folder> sets where results go)"
        return f"{error.filename}: {error.strerror}; {mend}"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key}=... is not given; {sys.argv[0]} --help shows an example"
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return "A group takes a name, not null; an option may be left out, as in baseline=null."
    while error is not None:
        if isinstance(error, InputError):
            return str(error)
        if isinstance(error, (HydraException, OmegaConfBaseException)):
            hydras = hydras or _plain(error)
        elif hydras is not None:
            hydras = None  # Hydra only passes on an error of the code
        error = error.__cause__
    return hydras


def _plain(error: BaseException) -> str:
    """Hydra's message in one line; for an unknown option, its advice to add it is left out."""
    if isinstance(error, MissingConfigException) and (message := what_there_is(error)):
        return message
    message, *advice = str(error).split("\nTo append to your config")
    message = " ".join(message.split("Config search path")[0].split())
    if not advice:
        return message
    if {"-m", "--multirun"} & set(sys.argv):
        return f"{message} If only what the sweep chooses has this option, write ++option=value."
    if "'data.root'" in message:  # the built-in images have none, nor has evaluate by itself
        return f"{message} Say which data set it is the root of: data=folder, data=camvid, ..."
    return f"{message} There is no such option; {_meant(error.__cause__)}--help lists all."


def _meant(error: BaseException | None) -> str:
    """Return the option that an unknown one resembles most, or that has its place since 0.1."""
    if not isinstance(error, OmegaConfBaseException) or error.parent_node is None:
        return ""
    if renamed := RENAMED.get(str(error.full_key)):
        return f"did you mean '{renamed}'? "
    near = get_close_matches(str(error.key), [str(key) for key in error.parent_node], n=1)
    before = str(error.full_key).removesuffix(str(error.key))
    return f"did you mean '{before}{near[0]}'? " if near else ""
