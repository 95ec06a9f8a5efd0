"""Encoders with matching decoders: our own small decoders, and those of smp."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from segmentation_models_pytorch.encoders import TimmViTEncoder
from torch import Tensor, nn

from graphs import join_features
from pyg_mllc.errors import InputError
from pyg_mllc.nn.encoders import build_filled, create_encoder
from pyg_mllc.utils.resize import upsample

SMP = {"deeplabv3plus", "fpn", "segformer", "unet", "unetplusplus", "upernet"}
DECODERS = ("fusion", "linear", "deeplabv2", "dpt", *sorted(SMP))


class Pair(NamedTuple):
    """An encoder and the decoder that fits it."""

    encoder: nn.Module  # images (B, 3, H, W) -> list of maps
    decoder: nn.Module  # list of maps -> one map (B, width, h, w)
    config: Mapping[str, object]  # the encoder's, of timm
    multiple: int  # of which height and width of the images must be


class Fusion(nn.Module):
    """Resize the stages of an encoder to the finest one, and sum them.

    Args:
        in_channels: channels of each stage, the finest first.
        width: channels of the sum.
    """

    def __init__(self, in_channels: list[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            for channels in in_channels
        )
        self.mix = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, stages: list[Tensor]) -> Tensor:
        stages = stages[-len(self.lateral) :]
        size = stages[0].shape[-2:]
        maps = [
            F.interpolate(lateral(stage), size, mode="bilinear", align_corners=False)
            for lateral, stage in zip(self.lateral, stages, strict=True)
        ]
        mixed: Tensor = self.mix(torch.stack(maps).sum(0))
        return mixed


class DeepLabV2(nn.Module):
    r"""Sum of four atrous convolutions of the last stage (Chen et al., 2018).

    .. math::
        x = \sum_{d \in \{6, 12, 18, 24\}} W_d *_d s + b_d

    The published head sums four such convolutions to the classes at once. This sum is linear, so
    with a linear class head it can compute the same.

    Args:
        in_channels: channels of the last stage.
        width: channels of the sum.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, width, 3, padding=d, dilation=d) for d in (6, 12, 18, 24)
        )

    def forward(self, stages: list[Tensor]) -> Tensor:
        return torch.stack([branch(stages[-1]) for branch in self.branches]).sum(0)


class JoinedStages(nn.Module):
    """Stages of an encoder side by side, each of unit length, at the size of the finest one.

    Nothing is trained here, so that the class head is a linear classifier of the stages.

    Args:
        stages: number of stages to take, the last ones.
    """

    def __init__(self, stages: int) -> None:
        super().__init__()
        self.taken = stages

    def forward(self, stages: list[Tensor]) -> Tensor:
        return join_features(stages[-self.taken :])


class WithStages(nn.Module):
    """Map of a decoder and, beside it, the encoder's stages, see `JoinedStages`.

    Args:
        decoder: decodes the stages; its map is brought to the size of theirs.
        joined: joins the stages.
    """

    def __init__(self, decoder: nn.Module, joined: JoinedStages) -> None:
        super().__init__()
        self.decoder, self.joined = decoder, joined

    def forward(self, stages: list[Tensor]) -> Tensor:
        joined = self.joined(stages)
        decoded = upsample(self.decoder(stages), joined.shape[-2:])
        return torch.cat([decoded, joined.to(decoded)], dim=1)


class Stages(nn.Module):
    """Feature extractor of timm whose maps are always `(B, channels, h, w)`.

    Args:
        extractor: timm model with `features_only`.
    """

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor
        self.last = str(getattr(extractor, "output_fmt", "NCHW")).endswith("NHWC")

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.extractor(images)
        return [m.permute(0, 3, 1, 2) for m in maps] if self.last else list(maps)


class _Tokens(nn.Module):
    """List of all outputs of smp's vision transformer: four maps, then their tokens."""

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, tokens = self.vit(images)
        return [*maps, *(t for t in tokens if t is not None)]


class _Readout(nn.Module):
    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, stages: list[Tensor]) -> Tensor:
        decoded: Tensor = self.decoder(stages[:4], stages[4:] or [None] * 4)
        return decoded


def _own(
    encoder: str,
    weights: str | None,
    decoder: str,
    width: int,
    stride: int,
    beside: bool,
    **more: object,
) -> Pair:
    extractor: Any = create_encoder(encoder, weights, **more)
    reductions, channels = extractor.feature_info.reduction(), extractor.feature_info.channels()
    coarse = [c for c, r in zip(channels, reductions, strict=True) if r >= stride] or channels[-1:]
    joined = JoinedStages(len(coarse))
    made: nn.Module = joined
    if decoder == "deeplabv2":
        made = DeepLabV2(channels[-1], width)
    elif decoder == "fusion":
        made = Fusion(coarse, width)
    if beside and decoder != "linear":
        made = WithStages(made, joined)
    # Vision transformers need whole patches.
    return Pair(Stages(extractor), made, extractor.pretrained_cfg, multiple=reductions[0])


def _smp(encoder: str, weights: str | None, decoder: str, **more: object) -> Pair:
    if decoder == "deeplabv3plus" and "output_stride" in more:
        more["encoder_output_stride"] = more.pop("output_stride")

    def make(source: dict[str, Any], **flexible: bool) -> nn.Module:
        pretrained = source.pop("pretrained") or None  # smp's words for timm's encoders
        model: nn.Module = smp.create_model(
            decoder, f"tu-{encoder}", pretrained, **source, **more, **flexible
        )
        return model

    model: Any = build_filled(make, encoder, weights, lambda model: model.get_submodule("encoder"))
    return Pair(model.encoder, model.decoder, model.encoder.model.pretrained_cfg, multiple=32)


def _dpt(encoder: str, weights: str | None, **more: object) -> Pair:
    def make(source: dict[str, Any], **flexible: bool) -> nn.Module:
        vit: nn.Module = TimmViTEncoder(encoder, **source, **more, **flexible)
        return vit

    vit: Any = build_filled(make, encoder, weights)
    if len(set(vit.output_strides)) > 1:
        raise InputError(
            f"model.decoder=dpt takes vision transformers of one stride, and "
            f"model.encoder={encoder} is none; take model.decoder=upernet"
        )
    # Patches of 14 pixels as if they had 16: only then does the decoder double sizes exactly.
    decoder = DPTDecoder(vit.out_channels, [16] * 4, vit.has_prefix_tokens)
    # It halves the grid of tokens and doubles it again.
    multiple = 2 * vit.output_stride
    return Pair(_Tokens(vit), _Readout(decoder), vit.model.pretrained_cfg, multiple)


def create_pair(
    encoder: str,
    weights: str | None,
    decoder: str,
    width: int,
    stride: int,
    beside: bool = False,
    **more: object,
) -> Pair:
    """Build an encoder and a decoder that fits it.

    Args:
        encoder: name of a timm model.
        weights: see `weight_options`.
        decoder: one of `DECODERS`.
        width: channels of `fusion` and `deeplabv2`; the others have their own, see smp.
        stride: of the finest stage that `fusion` and `linear` take.
        beside: whether the map also has the stages themselves, see `WithStages`.
        **more: options of encoder (timm) or decoder (smp), such as `output_stride`.

    Returns:
        Encoder and decoder, timm's config of the encoder, and what image sides must be multiples
        of.

    Raises:
        InputError: if a name or an option is unknown, or the two do not fit.
    """
    if decoder in ("fusion", "linear", "deeplabv2"):
        return _own(encoder, weights, decoder, width, stride, beside, **more)
    if beside:
        raise InputError(
            f"model.init=evidence needs model.decoder=fusion, linear or deeplabv2, not {decoder}"
        )
    if decoder == "dpt":
        return _dpt(encoder, weights, **more)
    if decoder in SMP:
        return _smp(encoder, weights, decoder, **more)
    raise InputError(f"model.decoder={decoder} is none of {', '.join(DECODERS)}")
