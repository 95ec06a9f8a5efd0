"""A trained network in a form that exporters take: images in [0, 1] to logits."""

import copy
import math

import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from pyg_mllc.errors import InputError
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.nn import ExportableCorrector, FrozenFeatures, GaussianEvidence
from pyg_mllc.utils.resize import resize_map, upsample


class ExportableNetwork(nn.Module):
    """The `forward` of a predictor, for images whose sides are multiples of `multiple`.

    Normalization, class thresholds, anchors and a frozen encoder's features are part of it.

    Args:
        predictor: of a checkpoint; is copied.
        correct: whether labels are corrected.

    Raises:
        InputError: if the network has parts that no exporter takes.
    """

    def __init__(self, predictor: Predictor, correct: bool = True) -> None:
        super().__init__()
        network = copy.deepcopy(predictor.network).cpu().eval()
        self.segmenter, memory = network.segmenter, copy.deepcopy(predictor.memory).cpu()
        ratio = self.segmenter.feature_stride / self.segmenter.stride
        if ratio != round(ratio):
            raise InputError(
                f"the network's logits have stride {self.segmenter.stride:g} and its features "
                f"{self.segmenter.feature_stride:g}; only multiples can be exported"
            )
        self.ratio = round(ratio)
        self.multiple = math.lcm(32, self.segmenter.multiple, round(self.segmenter.feature_stride))
        scale = self.segmenter.scale
        if scale < 1 or (scale * self.multiple) % self.segmenter.multiple:
            raise InputError(f"model.scale={scale:g} cannot be exported; a whole number can")
        self.corrector: ExportableCorrector | None = None
        self.encoder: FrozenFeatures | None = memory.encoder if correct else None
        self.evidence: ExportableEvidence | None = None
        if correct and memory.evidence is not None and memory.has_evidence:
            self.evidence = ExportableEvidence(memory.evidence)
        frozen = [self.encoder, self.evidence.encoder if self.evidence else None]
        if any(encoder is not None and encoder.remove_position for encoder in frozen):
            raise InputError(
                "the frozen encoder's features lose directions that depend on the size of images "
                "(remove_position), which cannot be exported; correct=false exports the network "
                "without them"
            )
        if correct and len(network.corrector.rounds):
            if network.corrector.edge_aware:
                raise InputError(
                    "corrector.edge_aware=true cannot be exported; correct=false exports the "
                    "network without correction"
                )
            counts, anchors = memory.class_counts, memory.active_anchors
            try:
                self.corrector = ExportableCorrector(network.corrector, counts, anchors)
            except ValueError as error:
                raise InputError(
                    f"the corrector cannot be exported: {error}; correct=false exports the network "
                    "without it"
                ) from error
        for encoder in (self.segmenter, *frozen):
            if encoder is not None:
                _fix_padding(encoder)
        self.requires_grad_(False).eval()

    @property
    def smallest(self) -> int:
        """Smallest height and width in pixels, so that every pixel has enough neighbors."""
        if self.corrector is None:
            return 2 * self.multiple  # torch takes sides of a single pixel for another case
        nodes = math.isqrt(self.corrector.corrector.neighbors) + 1  # a side of the graph
        steps = math.ceil(nodes * self.segmenter.feature_stride / self.multiple)
        return self.multiple * max(2, steps)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits at the size of the images.

        Args:
            images: `(B, 3, H, W)` in [0, 1].

        Returns:
            `(B, C, H, W)`, after correction if the network corrects.
        """
        s = self.segmenter
        view = self._normalize(images)
        if s.scale != 1:
            view = F.interpolate(view, scale_factor=s.scale, mode="bilinear")
        x = s.decoder(s.encoder(view))
        logits = s.class_head(x)
        if self.corrector is not None:
            features = s.embedding_head(self._coarse(x))
            coarse = self._coarse(logits)
            maps = None
            if self.encoder is not None:
                maps = self.encoder(images, features.shape[-2:], features)
            known = None
            if self.evidence is not None:
                logits, known = self._add_evidence(images, logits)
            base = coarse if known is None else coarse + known
            change = self.corrector(coarse, features, maps, known) - base
            logits = logits + upsample(change, logits.shape[-2:])
        return upsample(logits, images.shape[-2:])

    def _add_evidence(self, images: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits with evidence added, and the evidence at the features' size."""
        assert self.evidence is not None
        maps = resize_map(self.evidence(images), logits.shape[-2:])
        return logits + maps, self._coarse(maps)

    def _normalize(self, images: Tensor) -> Tensor:
        """Normalize in parts, into which only sides fit that are multiples of `multiple`.

        A runtime of ONNX knows no such condition, and would give wrong logits of other sizes.
        """
        height, width = images.shape[-2:]
        m = self.multiple
        # m first: with it second, torch.export loses track of the sizes.
        parts = images.view(*images.shape[:2], m, height // m, m, width // m)
        mean, std = (v.view(3, 1, 1, 1, 1) for v in (self.segmenter.mean, self.segmenter.std))
        return ((parts - mean) / std).view(images.shape)

    def _coarse(self, maps: Tensor) -> Tensor:
        """Return maps averaged from the logits' size to the features' size."""
        return F.avg_pool2d(maps, self.ratio) if self.ratio > 1 else maps


class ExportableEvidence(nn.Module):
    """The computation of `GaussianEvidence` as a convolution of 1 x 1 over a frozen encoder.

    Args:
        evidence: that is ready.
    """

    def __init__(self, evidence: GaussianEvidence) -> None:
        super().__init__()
        self.encoder = evidence.encoder
        weight, bias, mean = evidence.gaussians.discriminant()
        classes, dim = weight.shape
        self.register_buffer("mean", mean.float().view(1, dim, 1, 1))
        self.head = nn.Conv2d(dim, classes, 1)
        self.head.weight.data.copy_(float(evidence.weight) * weight.view(classes, dim, 1, 1))
        self.head.bias.data.copy_(float(evidence.weight) * bias)  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        """Compute the evidence `(B, C, h, w)` of images `(B, 3, H, W)`."""
        size = self.encoder.finest_size(images.shape[-2:])
        evidence: Tensor = self.head(self.encoder(images, size) - self.mean)
        return evidence


def _fix_padding(module: nn.Module) -> None:
    """Replace the dynamic padding of TensorFlow encoders by fixed padding, as for even sizes."""
    for name, child in module.named_children():
        if type(child) is not Conv2dSame:
            _fix_padding(child)
            continue
        sizes = zip(child.kernel_size, child.stride, child.dilation, strict=True)
        height, width = (max((k - 1) * d + 1 - s, 0) for k, s, d in sizes)
        sides = width // 2, width - width // 2, height // 2, height - height // 2
        plain = nn.Conv2d(
            child.in_channels,
            child.out_channels,
            child.kernel_size,  # type: ignore[arg-type]
            child.stride,  # type: ignore[arg-type]
            0,
            child.dilation,  # type: ignore[arg-type]
            child.groups,
            child.bias is not None,
        )
        plain.load_state_dict(child.state_dict())
        setattr(module, name, nn.Sequential(nn.ZeroPad2d(sides), plain))
