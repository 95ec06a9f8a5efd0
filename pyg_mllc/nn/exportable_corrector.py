"""Label correction as dense matrix products, for export to ONNX and torch.export."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphs import AnchorMemory
from graphs.anchors import balanced_one_hot, log_class_share
from graphs.maps import pixel_positions
from graphs.precision import to_float64
from graphs.propagate import EPS
from graphs.taper import num_tapered, taper_weights
from pyg_mllc.nn.class_thresholds import class_thresholds
from pyg_mllc.nn.correction_round import SHARPNESS, CorrectionRound
from pyg_mllc.nn.corrector import LabelCorrector
from pyg_mllc.nn.label_graph import CERTAINTY, look_alike_features
from pyg_mllc.nn.soft_labels import label_logits


class ExportableCorrector(nn.Module):
    """The computation of a `LabelCorrector` as dense matrices over all pairs of pixels.

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
    >>> expected = corrector(logits, features).logits
    >>> torch.allclose(exportable(logits, features), expected, atol=1e-4)
    True
    """

    eta: Tensor | None
    center: Tensor | None
    anchors: Tensor | None
    anchor_labels: Tensor | None

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
        self.options, self.bayes = corrector.options, corrector.anchor_rule == "bayes"
        eta = None
        if class_counts is not None:
            eta = class_thresholds(class_counts, self.options.threshold)
        self.register_buffer("eta", eta)
        center, x, labels = None, None, None
        if anchors is not None and len(anchors) and len(corrector.rounds):
            # Distances are taken from the anchors' mean: those of vectors far from zero cancel out.
            center = anchors.x.mean(0)
            x, c = anchors.x - center, corrector.num_classes
            labels = label_logits(anchors.label, c, CERTAINTY)
            labels = balanced_one_hot(anchors.label, c) if self.bayes else labels
        self.register_buffer("center", center)
        self.register_buffer("anchors", x)
        self.register_buffer("anchor_labels", labels)

    def forward(
        self,
        logits: Tensor,
        features: Tensor,
        graph_features: Tensor | None = None,
        evidence: Tensor | None = None,
    ) -> Tensor:
        """Compute the logits after the last round.

        Args:
            logits: `Z (B, C, h, w)`.
            features: `F (B, D, h, w)`; h * w more than the corrector's `neighbors`.
            graph_features: see `LabelCorrector`.
            evidence: see `LabelCorrector`.

        Returns:
            `(B, C, h, w)`.
        """
        corrector = self.corrector
        z, f = _nodes(logits), _nodes(features)  # (B, N, C), (B, N, D)
        first = f if graph_features is None else _nodes(graph_features).to(f)
        if evidence is not None and len(corrector.rounds):
            z = z + _nodes(evidence)
        anchor_logits = None
        if self.anchor_labels is not None:
            anchor_logits = self._mean_of_anchors(first, self.anchor_labels)
            if self.bayes:
                evidence = log_class_share(anchor_logits, self.anchor_labels.any(0))
                z, anchor_logits = z + corrector.anchor_share * evidence, None
        graph, compared = None, [first]
        pos = pixel_positions(logits.size(2), logits.size(3), logits.device)
        for step in _rounds(corrector):
            moves = corrector.dynamic_graph and graph_features is None
            if self.options.moves_labels and (graph is None or moves):
                graph = self._graph(compared, pos).to(z)
            z, f = self._round(step, z, f, graph, anchor_logits)
            compared = [first, f]
        maps: Tensor = z.transpose(1, 2).unflatten(2, logits.shape[-2:])
        return maps

    def _mean_of_anchors(self, x: Tensor, values: Tensor) -> Tensor:
        """Return the mean of the anchors' values `(M, C)`, weighted for each node `(B, N, C)`."""
        assert self.anchors is not None and self.center is not None
        anchors, temperature = to_float64(self.anchors), self.corrector.anchor_temperature
        near = to_float64(x) - to_float64(self.center)
        distance = near.square().sum(2, keepdim=True) - 2 * near @ anchors.T
        distance = distance + anchors.square().sum(1)
        neighbors = self.corrector.neighbors
        smooth = self.options.smooth and len(anchors) > neighbors
        weight = _nearest(-distance, self.options.k if smooth else neighbors, smooth)
        # Relative to the nearest, so that far ones do not vanish; missing ones stay 0.
        least = distance.amin(2, keepdim=True)
        weight = weight * ((least - distance) / temperature).exp()
        return (weight / weight.sum(2, keepdim=True)).to(x) @ values.to(x)

    def _graph(self, compared: list[Tensor], pos: Tensor) -> Tensor:
        r"""Build the semantic-level graph :math:`\hat A (B, N, N)`, see `label_graph`."""
        smooth = self.options.smooth
        if smooth:
            u = look_alike_features(compared, pos)
        else:
            u, compared = F.normalize(to_float64(compared[-1]), dim=2), compared[-1:]
        square = u.square().sum(2)
        distance = square[:, :, None] + square[:, None] - 2 * u @ u.transpose(1, 2)
        itself = torch.eye(u.size(1), dtype=torch.bool, device=u.device)
        weight = _nearest((-distance).masked_fill(itself, -torch.inf), self.options.k, smooth)
        s = weight * (1 - distance / (2 * len(compared))).clamp(min=0) + itself.to(u)
        return _normalized(s + s.transpose(1, 2))

    def _round(
        self,
        step: CorrectionRound,
        z: Tensor,
        f: Tensor,
        graph: Tensor | None,
        anchor_logits: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        label = z.argmax(2)
        if graph is not None:
            a = step.neighbor_weight(z.flatten(0, 1), self.eta).view_as(label)[..., None]
            opinion = graph @ z
            if anchor_logits is not None:
                opinion = opinion + self.corrector.anchor_share * (anchor_logits - opinion)
            z = (1 - a) * z + a * opinion
        z = step.class_transform(z)
        if self.options.moves_features:
            smooth = self.options.smooth
            q = F.normalize((z / SHARPNESS if smooth else z).softmax(2), dim=2)
            g = q @ q.transpose(1, 2)
            g = g if smooth else g * (label[:, :, None] == label[:, None])
            f = _normalized(g) @ f
        return z, step.feature_transform(f)


def _nodes(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def _nearest(similarity: Tensor, k: int, smooth: bool) -> Tensor:
    """Return weights `(B, N, M)` of the nearest of M nodes, 0 for all others."""
    if not smooth:
        nearest = similarity.topk(min(k, similarity.size(2)), dim=2)
        return torch.zeros_like(similarity).scatter(2, nearest.indices, 1.0)
    nearest = similarity.topk(num_tapered(k) + 1, dim=2)
    weight = taper_weights(nearest.values.flatten(0, 1), k).unflatten(0, nearest.values.shape[:2])
    return torch.zeros_like(similarity).scatter(2, nearest.indices[..., :-1], weight)


def _normalized(a: Tensor) -> Tensor:
    scale = (a.sum(2, keepdim=True) + EPS).rsqrt()
    return scale * a * scale.transpose(1, 2)


def _rounds(corrector: LabelCorrector) -> list[CorrectionRound]:
    return list(corrector.rounds)  # type: ignore[arg-type]
