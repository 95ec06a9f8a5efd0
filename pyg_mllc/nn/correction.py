"""Label correction: rounds of message passing between the two graphs."""

import torch
from torch import Tensor, nn

from graphs import (
    automatic_search,
    class_hubs,
    maps_to_nodes,
    nodes_to_maps,
    propagate,
    semantic_graph,
    symmetric_norm,
)
from pyg_mllc.nn.prediction import Prediction
from pyg_mllc.nn.thresholds import class_thresholds

IDENTITY_RANGE = 8.0  # far beyond what an embedding head gives, small enough for float32


def trusted(logits: Tensor, threshold: float, eta: Tensor | None = None) -> Tensor:
    r"""Tell which nodes are confident enough to keep their label.

    .. math::
        t_i = [m_i \ge \tau] \lor [m_i \ge \eta_{y_i}], \qquad
        m_i = \max \mathrm{softmax}(Z_i), \; y_i = \arg\max Z_i

    Args:
        logits: `Z (N, C)`.
        threshold: tau, in [0, 1].
        eta: class thresholds `(C,)`; by default only tau counts.

    Returns:
        `(N,)` bool.
    """
    confidence, label = logits.softmax(1).max(1)
    if eta is None:
        return confidence >= threshold
    return confidence >= eta.to(confidence)[label].clamp(max=threshold)


class CorrectionRound(nn.Module):
    r"""Labels flow between nodes that look alike, then features between nodes that agree.

    .. math::
        Z' = (1 - a) Z + a \hat A Z, \quad Z_r = W_2 (W_1 Z' + b_1) + b_2, \qquad
        F' = \hat G F, \quad F_r = V_2 \mathrm{relu}(V_1 F' + a_1) + a_2

    with :math:`\hat A` the semantic-level graph of the features F, :math:`\hat G` the class-level
    graph of the corrected logits and the labels before, and :math:`a_i` small where node i is
    trusted. Starts as the identity transform around the propagation, for features above -8.

    Args:
        num_classes: C.
        feature_dim: D; None for a round without transforms, thus without parameters.
        k: neighbors per node in the semantic-level graph, besides the node itself.
        threshold: tau, confidence from which a node is trusted.
        blend: weight a of the neighbors' opinion for a node that is (trusted, not trusted).
    """

    def __init__(
        self,
        num_classes: int,
        feature_dim: int | None = None,
        k: int = 20,
        threshold: float = 0.95,
        blend: tuple[float, float] = (0.2, 0.8),
    ) -> None:
        super().__init__()
        self.k, self.threshold, self.blend = k, threshold, blend
        self.class_transform: nn.Module = nn.Identity()
        self.feature_transform: nn.Module = nn.Identity()
        if feature_dim is not None:
            self.class_transform = nn.Sequential(
                _identity_linear(num_classes), _identity_linear(num_classes)
            )
            # relu(F + r) - r is F itself wherever F > -r.
            self.feature_transform = nn.Sequential(
                _identity_linear(feature_dim, bias=IDENTITY_RANGE),
                nn.ReLU(),
                _identity_linear(feature_dim, bias=-IDENTITY_RANGE),
            )

    def forward(
        self, logits: Tensor, features: Tensor, batch: Tensor, eta: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Correct the nodes' logits `(N, C)` and features `(N, D)` once."""
        label = logits.detach().argmax(1)
        trust = trusted(logits.detach(), self.threshold, eta)
        a = logits.new_tensor(self.blend)[(~trust).long()][:, None]

        graph = semantic_graph(features.detach(), self.k, batch, search=automatic_search)
        weight = symmetric_norm(graph.edge_index, graph.edge_weight, len(features))
        logits = (1 - a) * logits + a * propagate(graph.edge_index, weight, logits)
        logits = self.class_transform(logits)

        hubs = class_hubs(logits.detach(), label, batch)
        return logits, self.feature_transform(hubs.propagate(features))


class LabelCorrector(nn.Module):
    """Correct the labels of an image's pixels by graphs over these pixels, round by round.

    Multi-Level Label Correction (Xiao et al., IEEE TMM 2024). Gradients flow through logits and
    features, none through a graph's weights. Computes in float32 (float64 for float64), under
    autocast too.

    Args:
        num_classes: C.
        feature_dim: D, for rounds with trainable transforms that start as the identity; by default
            the corrector has no parameters and works on features of any size.
        rounds: K; with 0, the input is the only output.
        k: neighbors per pixel in the semantic-level graph, besides the pixel itself; found exactly
            in images of up to 16,384 pixels, approximately in larger ones.
        threshold: tau, confidence from which a pixel is trusted.
        blend: weight of the neighbors' opinion for a pixel that is (trusted, not trusted).

    >>> corrector = LabelCorrector(num_classes=3, k=4)
    >>> history = corrector(torch.randn(2, 3, 6, 8), torch.randn(2, 16, 6, 8))
    >>> len(history), tuple(history[-1].logits.shape)
    (3, (2, 3, 6, 8))
    """

    def __init__(
        self,
        num_classes: int,
        feature_dim: int | None = None,
        rounds: int = 2,
        k: int = 20,
        threshold: float = 0.95,
        blend: tuple[float, float] = (0.2, 0.8),
    ) -> None:
        super().__init__()
        if rounds < 0:
            raise ValueError(f"expected rounds >= 0, got {rounds}")
        if k < 1:
            raise ValueError(f"expected k >= 1 neighbors, got {k}")
        self.num_classes, self.feature_dim, self.threshold = num_classes, feature_dim, threshold
        self.rounds = nn.ModuleList(
            CorrectionRound(num_classes, feature_dim, k, threshold, blend) for _ in range(rounds)
        )

    def forward(
        self, logits: Tensor, features: Tensor, class_counts: Tensor | None = None
    ) -> list[Prediction]:
        r"""Give the belief before the first round and after each.

        Args:
            logits: `Z (B, C, h, w)`, finite.
            features: `F (B, D, h, w)`, finite.
            class_counts: confident pixels seen per class `n (C,)`, for the class thresholds
                :math:`\eta_c = \tau n_c / \max n`; by default only tau counts.

        Returns:
            K + 1 predictions, the input first.

        Raises:
            ValueError: if the sizes of logits and features differ or do not fit the corrector.
        """
        self._check(logits, features)
        height, width = logits.shape[-2:]
        eta = None if class_counts is None else class_thresholds(class_counts, self.threshold)
        history = [Prediction(logits, features)]
        with torch.autocast(logits.device.type, enabled=False):
            dtype = torch.promote_types(logits.dtype, torch.float32)
            z, batch = maps_to_nodes(logits.to(dtype))
            f, _ = maps_to_nodes(features.to(dtype))
            for step in self.rounds:
                z, f = step(z, f, batch, eta)
                history.append(
                    Prediction(nodes_to_maps(z, height, width), nodes_to_maps(f, height, width))
                )
        return history

    def _check(self, logits: Tensor, features: Tensor) -> None:
        if logits.dim() != 4 or logits.size(1) != self.num_classes:
            raise ValueError(
                f"expected logits (B, {self.num_classes}, h, w), got shape {tuple(logits.shape)}"
            )
        wanted = "D" if self.feature_dim is None else self.feature_dim
        if features.dim() != 4 or self.feature_dim not in (None, features.size(1)):
            raise ValueError(
                f"expected features (B, {wanted}, h, w), got shape {tuple(features.shape)}"
            )
        if (len(logits), *logits.shape[-2:]) != (len(features), *features.shape[-2:]):
            raise ValueError(
                "expected logits and features of the same images and size, got "
                f"{tuple(logits.shape)} and {tuple(features.shape)}; resize one to the other"
            )
        if not torch.isfinite(logits).all():
            raise ValueError("expected finite logits, got NaN or infinity")


def _identity_linear(size: int, bias: float = 0.0) -> nn.Linear:
    linear = nn.Linear(size, size)
    nn.init.eye_(linear.weight)
    nn.init.constant_(linear.bias, bias)
    return linear
