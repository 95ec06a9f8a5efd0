"""Checkpoints that hold a network and its description, and are read without running code."""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pyg_mllc.errors import InputError
from pyg_mllc.methods import Method
from pyg_mllc.typing import IGNORE
from pyg_mllc.utils.instantiate import build
from pyg_mllc.utils.io import atomic_open
from pyg_mllc.utils.targets import check, packages, targets

FORMAT = 2
"""Number of the layout of checkpoints and of run.yaml; pyg_mllc 0.1 wrote the first."""

Config = dict[str, Any]


def describe(
    classes: Sequence[str],
    colors: Sequence[Sequence[int]],
    size: Sequence[int],
    *,
    model: Config,
    corrector: Config,
    method: Config,
) -> Config:
    """Describe a network in plain containers, so that a checkpoint can be loaded by itself.

    `build_method` builds the network from it, `save_checkpoint` stores it.

    Args:
        classes: their names.
        colors: of each class, red, green and blue in 0..255.
        size: height and width (H, W) that training fits images into.
        model: options of `Segmenter`, without the number of classes; `_target_` may name another
            class.
        corrector: options of `LabelCorrector`; `_target_` may name another class.
        method: of the method, with its `_target_`, such as `pyg_mllc.methods.MLLC`.

    Returns:
        The description, checked; plain values only.

    Raises:
        InputError: if something is not plain, or there is not one color for each class.
    """
    parts = {
        "model": {"_target_": "pyg_mllc.nn.Segmenter", **model},
        "corrector": {"_target_": "pyg_mllc.nn.LabelCorrector", **corrector},
        "method": dict(method),
    }
    for part in parts.values():
        roots = {target.split(".")[0] for target in targets(part)}
        check(part, packages(sorted(roots - {"pyg_mllc"})))  # the trainer trusts its own code
    about = {
        "classes": [str(name) for name in classes],
        "colors": [[int(part) for part in color] for color in colors],
        "size": [int(side) for side in size],
    }
    made = {"format": FORMAT, "version": version("pyg_mllc"), **about, **parts}
    _check_about(made, "the description")
    return made


def build_method(description: Config, allow: str | Sequence[str] = ()) -> Method:
    """Build the method that a description describes, with random weights.

    Args:
        description: of `describe`.
        allow: packages whose classes it may name, in addition to pyg_mllc.

    Returns:
        The method, on the CPU.

    Raises:
        InputError: see `build`.
    """
    for part in ("model", "corrector", "method"):  # all of it before any of it is built
        check(description[part], packages(allow))
    classes = len(description["classes"])
    segmenter = build(description["model"], allow, num_classes=classes)
    dim = getattr(segmenter, "feature_dim", None)
    corrector = build(description["corrector"], allow, num_classes=classes, feature_dim=dim)
    method = build(description["method"], allow, segmenter=segmenter, corrector=corrector)
    if not isinstance(method, Method):
        raise InputError(f"{description['method']['_target_']} is no training method")
    return method


def save_checkpoint(path: str | Path, method: Method, description: Config) -> None:
    """Save a method that your own training loop has trained, for `load`.

    Args:
        path: of the file.
        method: trained.
        description: of `describe`.
    """
    state = {f"method.{name}": value for name, value in method.state_dict().items()}
    write_checkpoint({"state_dict": state, "network": description}, path)


def write_checkpoint(checkpoint: Config, path: str | Path) -> None:
    """Write a checkpoint atomically.

    Args:
        checkpoint: tensors and plain values.
        path: of the file.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    with atomic_open(path) as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:  # what torch makes of a full disk
            raise OSError(28, "the checkpoint could not be written", str(path)) from error


class Saved(NamedTuple):
    """The content of a checkpoint, for prediction."""

    method: Method  # on the CPU, in eval mode
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]  # (H, W) that training fitted images into


def load_method(path: str | Path, allow: str | Sequence[str] = ()) -> Saved:
    """Build the method that a checkpoint holds, without running code or downloading.

    Args:
        path: `last.ckpt` or `best.ckpt` of a run, or what `save_checkpoint` wrote.
        allow: packages whose classes it may name, in addition to pyg_mllc.

    Returns:
        The method with its weights, in eval mode, and the classes, colors and size of its data.

    Raises:
        InputError: if it is no whole checkpoint, holds more than weights and plain values, names
            what is not allowed, is of a later version, or its weights do not fit its description.
    """
    path = Path(path)
    checkpoint = _read(path)
    network = checkpoint.get("network") if isinstance(checkpoint, dict) else None
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(network, dict) or not isinstance(state, dict):
        raise InputError(
            f"{path} does not say what network it is of: it is no checkpoint of mllc train, or one "
            "of an earlier version; train the network again"
        )
    if network.get("format") != FORMAT:
        advice = "update pyg_mllc"
        if network.get("format") == 1:
            advice = "train the network again, or use it with pyg_mllc 0.1"
        raise InputError(
            f"{path} has the format {network.get('format')} (pyg_mllc {network.get('version')}), "
            f"and this is pyg_mllc {version('pyg_mllc')}, which reads format {FORMAT}; {advice}"
        )
    _check_about(network, str(path))
    try:
        method = build_method(network, allow)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    start = "method."
    weights = {k.removeprefix(start): v for k, v in state.items() if str(k).startswith(start)}
    try:
        method.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).split(": ", 1)[-1][:200]
        raise InputError(
            f"{path}: its weights are not of the network that it describes, with "
            f"{len(network['classes'])} classes: {reason}"
        ) from error
    colors = tuple((int(r), int(g), int(b)) for r, g, b in network["colors"])
    height, width = network["size"]
    return Saved(method.eval(), tuple(network["classes"]), colors, (height, width))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path} is no file; give a checkpoint, such as outputs/<run>/mllc/best.ckpt"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of unusual files
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds for damaged files
        raise InputError(
            f"{path} is not loaded: it is no checkpoint such as best.ckpt, is damaged, or holds "
            "more than weights and plain values"
        ) from error


def _check_about(description: Config, where: str) -> None:
    """Raise an error if classes, colors or size do not fit."""
    classes, colors, size = (description.get(name) for name in ("classes", "colors", "size"))
    parts = [description.get(part) for part in ("model", "corrector", "method")]
    fits = (
        isinstance(classes, list)
        and 2 <= len(classes) <= IGNORE
        and all(isinstance(name, str) for name in classes)
        and isinstance(colors, list)
        and len(colors) == len(classes)
        and all(_numbers(color, 3, 0, 255) for color in colors)
        and _numbers(size, 2, 1, 16_384)
        and all(isinstance(part, dict) and "_target_" in part for part in parts)
    )
    if not fits:
        raise InputError(
            f"{where} needs names of 2 to {IGNORE} classes, a color of three numbers in 0..255 for "
            "each, a size of two numbers, and model, corrector and method with a _target_"
        )


def _numbers(value: Any, count: int, low: int, high: int) -> bool:
    if not isinstance(value, list) or len(value) != count:
        return False
    return all(type(v) is int and low <= v <= high for v in value)
