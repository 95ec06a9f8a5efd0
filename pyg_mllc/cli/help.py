"""`mllc <command> --help`: each option with its value and its description."""

import ast
import re
from argparse import ArgumentError, ArgumentParser
from collections.abc import Iterable, Iterator
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import rich
from docstring_parser import DocstringStyle, parse
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_object
from omegaconf import OmegaConf
from rich.padding import Padding
from rich.text import Text

import pyg_mllc
from pyg_mllc.cli.composition import composing, config_dir
from pyg_mllc.cli.config_checks import check_choices
from pyg_mllc.cli.overrides import in_quotes, quoted
from pyg_mllc.cli.trusted_config import checked_parts, trusted
from pyg_mllc.errors import InputError
from pyg_mllc.utils.targets import find_definition

if TYPE_CHECKING:
    from pyg_mllc.inference.checkpoint import Config


class Option(NamedTuple):
    """One option of a command."""

    name: str  # as on the command line
    value: str
    meaning: str


def print_help(command: str, arguments: list[str]) -> None:
    """Print what a command is for and all options, as the command line chooses them.

    Args:
        command: name of its file of options.
        arguments: what follows it, such as `method=fixmatch`, whose options are then listed.

    Raises:
        InputError: if `--config-dir` is no folder, a choice chooses nothing, or a `_target_` is
            not allowed.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-dir", type=Path)
    try:
        known, words = parser.parse_known_args(arguments)
    except ArgumentError as error:
        raise InputError(str(error)) from error
    overrides = [quoted(word) for word in words if not word.startswith("-")]
    if known.config_dir is not None:
        if not known.config_dir.is_dir():
            raise InputError(f"--config-dir={known.config_dir} is no folder")
        overrides.append(f"hydra.searchpath=[{in_quotes(f'file://{known.config_dir.absolute()}')}]")
    text = (config_dir() / f"{command}.yaml").read_text(encoding="utf-8")
    with composing():
        config = compose(command, overrides=overrides, return_hydra_config=True)
        chosen = {k: v for k, v in config.hydra.runtime.choices.items() if "hydra" not in k}
        choices = {group: _choices(group.split("@")[0]) for group in chosen}
    check_choices(config)
    checked_parts(config, trusted(config), needed=(), built=())  # before anything is imported
    values = cast("Config", OmegaConf.to_container(config, resolve=False))
    del values["hydra"]
    meanings = _function_options(command) | dict(_comments(text))
    listed = list(options(values, meanings))  # before anything is printed
    print("\n".join(line[2:] for line in _header(text)))
    if choices:
        print("\nchoices; beside --help, as in `data=folder --help`, a choice lists its options")
        _print((f"{g}={chosen[g] or 'null'}", ", ".join(choices[g])) for g in choices)
    print("\noptions")
    _print((f"{o.name}={o.value}", o.meaning) for o in listed)


def options(values: "Config", meanings: dict[str, str], prefix: str = "") -> Iterator[Option]:
    """Yield the options of a configuration and of its parts.

    Args:
        values: plain containers; what a `_target_` is made from is explained by its docstring.
        meanings: of those names that no docstring of a part explains.
        prefix: name of the part, with a dot behind it.
    """
    if "_target_" in values:
        meanings = _documented(values["_target_"])
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from options(value, {}, f"{prefix}{name}.")
        elif not name.startswith("_"):
            shown = _shown(value)
            yield Option(prefix + name, shown, meanings.get(name, ""))


def _shown(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return "null" if value is None else str(value)


def _function_options(command: str) -> dict[str, str]:
    """Return the descriptions of a function's options, and which of them are needed."""
    if command == "check":  # no function of Python's
        return {}
    function = getattr(pyg_mllc, "correct_masks" if command == "correct" else command)
    meanings = _documented(f"{function.__module__}.{function.__name__}")
    for name, parameter in signature(function).parameters.items():
        if parameter.default is parameter.empty and name in meanings:
            meanings[name] = f"needed: {meanings[name]}"
    return meanings


def _documented(target: str) -> dict[str, str]:
    """Return the description of each argument; `**options` name the object that has the rest."""
    module, text = _docstring(target)
    meanings: dict[str, str] = {}
    for argument in parse(text, style=DocstringStyle.GOOGLE).params:
        meaning = " ".join((argument.description or "").split())
        meaning = re.sub(r",? see `\w+`", "", meaning) or meaning  # nobody can look there from here
        named = re.search(r"`(\w+)`", meaning)
        if argument.arg_name.startswith("**") and named:
            meanings = _documented(f"{module}.{named[1]}") | meanings
        else:
            meanings[argument.arg_name] = meaning
    return meanings


def _docstring(target: str) -> tuple[str, str]:
    """Return the module that defines a class or function, and its docstring."""
    if definition := find_definition(target):
        return definition[0], ast.get_docstring(definition[1]) or ""
    code = get_object(target)
    return code.__module__, code.__doc__ or ""


def _choices(group: str) -> list[str]:
    """Names of a group's files, and of its folders with the number of files inside."""
    loader = GlobalHydra.instance().config_loader()
    names = loader.get_group_options(group)
    for folder in loader.get_group_options(group, results_filter=None):
        if folder not in names:
            names.append(f"{folder}/... ({len(loader.get_group_options(f'{group}/{folder}'))})")
    return names


def _header(text: str) -> list[str]:
    """The comment at the head of a file."""
    lines = text.splitlines()
    return lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Names at the top level, with the comment behind their value and on the lines below it."""
    for match in re.finditer(r"^(\w+):.*?  # (.*(?:\n +#.*)*)", text, re.MULTILINE):
        yield match[1], re.sub(r"\n +#", "", match[2])


def _print(rows: Iterable[tuple[str, str]]) -> None:
    """Print each option, and below it what it means."""
    for option, meaning in rows:
        rich.print(Padding(Text(option, "bold"), (0, 2), expand=False))
        if meaning:
            rich.print(Padding(Text(meaning), (0, 2, 0, 6), expand=False))
