"""One round of label correction."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphs import ClassHubs, class_graph, class_hubs, propagate, random_walk_norm
from pyg_mllc.nn.graph_layer import GraphLayer, Layer

Levels = Literal["both", "semantic", "class", "none"]
TRUST_RAMP = 0.1  # of the confidence, below the threshold
SHARPNESS = 0.5  # difference of logits by which a class must lead for a label to be clear
IDENTITY_RANGE = 8.0  # far beyond what an embedding head gives, small enough for float32


def trust(
    logits: Tensor, threshold: float, eta: Tensor | None = None, smooth: bool = True
) -> Tensor:
    r"""Compute how far nodes are confident enough to keep their label.

    .. math::
        t_i = \min\big(1, \max(0, 1 - (\theta_i - m_i) / 0.1)\big), \qquad
        m_i = \max \mathrm{softmax}(Z_i), \;
        \theta_i = \textstyle\sum_c r_{ic} \min(\tau, \eta_c)

    with :math:`r_i = \mathrm{softmax}(2 Z_i)`, nearly the label of node i. As published it is a
    step: :math:`t_i = [m_i \ge \tau] \lor [m_i \ge \eta_{y_i}]`, :math:`y_i = \arg\max Z_i`.

    Args:
        logits: `Z (N, C)`.
        threshold: tau, in [0, 1].
        eta: class thresholds `(C,)`; by default only tau counts.
        smooth: a ramp, which changes continuously with the logits, rather than a step.

    Returns:
        `(N,)`, in [0, 1]: 1 for nodes that are trusted.
    """
    confidence, label = logits.softmax(1).max(1)
    least = torch.full_like(confidence, threshold)
    if eta is not None:
        of_class = eta.to(confidence).clamp(max=threshold)
        least = soft_labels(logits) @ of_class if smooth else of_class[label]
    if not smooth:
        return (confidence >= least).to(confidence)
    return (1 - (least - confidence) / TRUST_RAMP).clamp(0, 1)


def soft_labels(logits: Tensor) -> Tensor:
    """Return labels `(N, C)` that change continuously: nearly one-hot but where classes tie."""
    return (logits / SHARPNESS).softmax(1)


class CorrectionRound(nn.Module):
    r"""Labels flow between nodes that look alike, then features between nodes that agree.

    .. math::
        Z' = (1 - a) Z + a \hat A Z, \quad Z_r = W_2 (W_1 Z' + b_1) + b_2, \qquad
        F' = \hat G F, \quad F_r = V_2 \mathrm{relu}(V_1 F' + a_1) + a_2

    with :math:`\hat A` the semantic-level graph of the features F, :math:`\hat G` the class-level
    graph of the corrected logits, :math:`G_{ij} = q_i^\top q_j` for :math:`q_i` the unit vector
    along :math:`\mathrm{softmax}(2 Z_{ri})`, and :math:`a_i` small where node i is trusted.
    Starts as the identity transform around the propagation, for features above -8.

    Args:
        num_classes: C.
        feature_dim: D; None for a round without transforms, thus without parameters.
        k: agreeing nodes drawn for layers that need explicit edges in the class-level graph.
        threshold: tau, confidence from which a node is trusted.
        blend: weight a of the neighbors' opinion for a node that is (trusted, not trusted).
        learn_blend: learn a, starting from `blend`, at least 0.001 from 0 and 1.
        conv: passes labels, in place of :math:`\hat A Z`: `affinity`, or a layer, see `GraphLayer`.
        feature_conv: passes features, in place of :math:`\hat G F`, likewise.
        levels: graphs that messages flow over.
        smooth: see `LabelCorrector`; else as published, trust is a step, and nodes agree only if
            they have the same label before the round: :math:`G_{ij} = [y_i = y_j]\, q_i^\top q_j`
            with q along :math:`\mathrm{softmax}(Z_r)`.
    """

    def __init__(
        self,
        num_classes: int,
        feature_dim: int | None,
        *,
        k: int,
        threshold: float,
        blend: tuple[float, float],
        learn_blend: bool,
        conv: Layer,
        feature_conv: Layer,
        levels: Levels,
        smooth: bool = True,
    ) -> None:
        super().__init__()
        self.k, self.threshold, self.smooth = k, threshold, smooth
        semantic, self.class_level = levels in ("both", "semantic"), levels in ("both", "class")
        self.blend, self.blending = tuple(blend), None
        if learn_blend and semantic:
            self.blending = nn.Parameter(torch.tensor(blend).logit(eps=1e-3))
        self.conv = _layer(conv, num_classes) if semantic else None
        self.feature_conv = None
        if self.class_level and feature_conv != "affinity":
            if feature_dim is None:
                raise ValueError(
                    f"feature_conv={feature_conv} has weights, so the corrector needs feature_dim"
                )
            self.feature_conv = _layer(feature_conv, feature_dim)
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
        self,
        logits: Tensor,
        features: Tensor,
        batch: Tensor,
        graph: Data | None,
        eta: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Correct the nodes' logits `(N, C)` and features `(N, D)` once.

        Args:
            logits: `(N, C)`.
            features: `(N, D)`.
            batch: image of each node `(N,)`.
            graph: of `label_graph`, with or without anchors; None lets no labels flow.
            eta: class thresholds `(C,)`, see `trusted`.
        """
        label = logits.detach().argmax(1)
        if graph is not None:
            a = self.neighbor_weight(logits, eta)[:, None]
            logits = (1 - a) * logits + a * self._opinion(graph, logits)
        logits = self.class_transform(logits)
        if self.class_level:
            features = self._agreement(logits.detach(), label, batch, features)
        return logits, self.feature_transform(features)

    def neighbor_weight(self, logits: Tensor, eta: Tensor | None) -> Tensor:
        """Return the weight a of the neighbors' opinion for each node `(N,)`."""
        t = trust(logits.detach(), self.threshold, eta, self.smooth)
        of_trusted, of_others = self.blend_weights(logits).unbind()
        return of_others + t * (of_trusted - of_others)

    def blend_weights(self, like: Tensor) -> Tensor:
        """Weight a of the neighbors' opinion for nodes that are (trusted, not trusted)."""
        if self.blending is not None:
            return self.blending.to(like).sigmoid()
        return like.new_tensor(self.blend)

    def _opinion(self, graph: Data, logits: Tensor) -> Tensor:
        """What the neighbors of each node say, anchors among them."""
        n, beliefs = len(logits), logits
        if "fixed" in graph:
            beliefs = torch.cat([logits, graph.fixed.to(logits)])
        if self.conv is None:
            return propagate(graph.edge_index, graph.edge_weight, beliefs, num_targets=n)
        edge_index, weight = graph.edge_index, graph.edge_weight.to(logits)
        if len(beliefs) > n:
            # Anchors hear of nobody; layers that normalize by what a node hears would mute them.
            anchors = torch.arange(n, len(beliefs), device=edge_index.device)
            edge_index = torch.cat([edge_index, anchors.expand(2, -1)], dim=1)
            weight = torch.cat([weight, weight.new_ones(len(anchors))])
        return self.conv(beliefs, edge_index, weight)[:n]

    def _agreement(self, logits: Tensor, label: Tensor, batch: Tensor, features: Tensor) -> Tensor:
        """What the features of those that agree with each node are like."""
        if self.feature_conv is None:
            return self.hubs(logits, label, batch).propagate(features)
        if self.training:
            graph = class_graph(logits, label, batch, k=self.k)
        else:
            graph = self._same_partners(logits, label, batch)
        weight = random_walk_norm(graph.edge_index, graph.edge_weight, len(logits))
        return self.feature_conv(features, graph.edge_index, weight.to(features))

    def hubs(self, logits: Tensor, label: Tensor, batch: Tensor) -> ClassHubs:
        """Build the class-level graph of the corrected logits and the labels before."""
        if self.smooth:
            return class_hubs(logits / SHARPNESS, batch=batch, agreement="overlap")
        return class_hubs(logits, label, batch)

    def _same_partners(self, logits: Tensor, label: Tensor, batch: Tensor) -> Data:
        """Draw partners with the same seed for each image, whatever images are beside it."""
        sizes = batch.unique_consecutive(return_counts=True)[1].tolist() or [0]
        graphs = []
        for z, y in zip(logits.split(sizes), label.split(sizes), strict=True):
            generator = torch.Generator(logits.device).manual_seed(0)
            graphs.append(class_graph(z, y, k=self.k, generator=generator))
        return Batch.from_data_list(graphs)


def _layer(conv: Layer, channels: int) -> GraphLayer | None:
    return None if conv == "affinity" else GraphLayer(conv, channels)


def _identity_linear(size: int, bias: float = 0.0) -> nn.Linear:
    linear = nn.Linear(size, size)
    nn.init.eye_(linear.weight)
    nn.init.constant_(linear.bias, bias)
    return linear
