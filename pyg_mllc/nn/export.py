"""Label correction in a form that exporters take."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import AnchorMemory
from graphs.anchors import class_parts, log_share
from graphs.propagate import EPS
from pyg_mllc.nn.correction import LabelCorrector
from pyg_mllc.nn.label_flow import CERTAINTY, label_logits
from pyg_mllc.nn.rounds import CorrectionRound, trusted
from pyg_mllc.nn.thresholds import class_thresholds


class ExportableCorrector(nn.Module):
    """What a `LabelCorrector` computes, as matrices of all pairs of pixels.

    Exporters need shapes that depend on no values, which edges and blocks of agreeing pixels are
    not. So memory grows with the square of the pixels of an image: 64 MB at 64 x 64, per matrix.
    For inference, and not under autocast. Give it to `torch.export.export` or `torch.onnx.export`.

    Args:
        corrector: with the layers of the paper (`affinity`).
        class_counts: `n (C,)`, for the class thresholds, fixed from then on.
        anchors: labeled pixels of other images that take part, as they are now.

    Raises:
        ValueError: if the corrector has other layers, or cannot have anchors.

    >>> corrector = LabelCorrector(3, k=4)
    >>> logits, features = torch.randn(1, 3, 6, 8), torch.randn(1, 16, 6, 8)
    >>> exportable = ExportableCorrector(corrector)
    >>> expected = corrector(logits, features)[-1].logits
    >>> torch.allclose(exportable(logits, features), expected, atol=1e-4)
    True
    """

    eta: Tensor | None
    center: Tensor | None
    anchors: Tensor | None
    told: Tensor | None

    def __init__(
        self,
        corrector: LabelCorrector,
        class_counts: Tensor | None = None,
        anchors: AnchorMemory | None = None,
    ) -> None:
        super().__init__()
        if any(r.conv is not None or r.feature_conv is not None for r in _rounds(corrector)):
            raise ValueError("expected a corrector with conv and feature_conv 'affinity'")
        if anchors is not None:
            corrector.check_anchors(anchors)
        self.corrector = corrector
        eta = None if class_counts is None else class_thresholds(class_counts, corrector.threshold)
        self.register_buffer("eta", eta)
        some = anchors if anchors is not None and len(anchors) and len(corrector.rounds) else None
        # Distances are taken from the anchors' mean: those of vectors far from zero cancel out.
        self.register_buffer("center", None if some is None else some.x.mean(0))
        self.register_buffer("anchors", None if some is None else some.x - some.x.mean(0))
        told = None
        if some is not None:
            c, label = corrector.num_classes, some.label
            bayes = corrector.anchor_rule == "bayes"
            told = class_parts(label, c) if bayes else label_logits(label, c, CERTAINTY)
        self.register_buffer("told", told)

    def forward(
        self, logits: Tensor, features: Tensor, graph_features: Tensor | None = None
    ) -> Tensor:
        """Give the logits `(B, C, h, w)` after the last round.

        Args:
            logits: `Z (B, C, h, w)`.
            features: `F (B, D, h, w)`; h * w more than k.
            graph_features: see `LabelCorrector`.
        """
        z, f = _nodes(logits), _nodes(features)  # (B, N, C), (B, N, D)
        look = f if graph_features is None else _nodes(graph_features).to(f)
        told = None if self.anchors is None else self._told(look)
        if told is not None and self.corrector.anchor_rule == "bayes":
            assert self.told is not None
            z, told = z + self.corrector.anchor_share * log_share(told, self.told), None
        graph = None
        for step in _rounds(self.corrector):
            if self.corrector.flows and (
                graph is None or (self.corrector.rebuild and graph_features is None)
            ):
                graph = _semantic(look, self.corrector.k)
            z, f = self._round(step, z, f, graph, told)
            look = f
        return z.transpose(1, 2).unflatten(2, logits.shape[-2:])

    def _told(self, look: Tensor) -> Tensor:
        """What the anchors tell each node `(B, N, C)`."""
        assert self.anchors is not None and self.center is not None and self.told is not None
        x, look = self.anchors.to(look), look - self.center.to(look)
        inner = look @ x.T  # (B, N, M)
        distance = look.square().sum(2, keepdim=True) - 2 * inner + x.square().sum(1)
        found = (-distance).topk(min(self.corrector.k, len(x)), dim=2)
        weight = (found.values / self.corrector.temperature).softmax(2)  # (B, N, k)
        return torch.zeros_like(inner).scatter(2, found.indices, weight) @ self.told.to(look)

    def _round(
        self,
        step: CorrectionRound,
        z: Tensor,
        f: Tensor,
        graph: Tensor | None,
        told: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        label = z.argmax(2)
        if graph is not None:
            trust = trusted(z.flatten(0, 1), step.threshold, self.eta).view_as(label)
            of_trusted, of_others = step.blend_weights(z).unbind()
            a = torch.where(trust, of_trusted, of_others)[..., None]
            opinion = graph @ z
            if told is not None:
                opinion = opinion + self.corrector.anchor_share * (told - opinion)
            z = (1 - a) * z + a * opinion
        z = step.class_transform(z)
        if step.class_level:
            q = F.normalize(z.softmax(2), dim=2)
            agree = label[:, :, None] == label[:, None]
            f = _normalized(q @ q.transpose(1, 2) * agree) @ f
        return z, step.feature_transform(f)


def _nodes(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def _semantic(f: Tensor, k: int) -> Tensor:
    unit = F.normalize(f, dim=2)
    cosine = (unit @ unit.transpose(1, 2)).clamp(min=0)
    itself = torch.eye(f.size(1), dtype=torch.bool, device=f.device)
    value, index = cosine.masked_fill(itself, -1).topk(k, dim=2)
    s = torch.zeros_like(cosine).scatter(2, index, value) + itself.to(f)
    return _normalized(s + s.transpose(1, 2))


def _normalized(a: Tensor) -> Tensor:
    scale = (a.sum(2, keepdim=True) + EPS).rsqrt()
    return scale * a * scale.transpose(1, 2)


def _rounds(corrector: LabelCorrector) -> list[CorrectionRound]:
    return list(corrector.rounds)  # type: ignore[arg-type]
