"""One round of label correction."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphs import ClassHubs, class_graph, class_hubs, propagate, random_walk_norm
from graphs.validation import check_neighbors
from pyg_mllc.nn.graph_layer import GraphLayer, Layer
from pyg_mllc.nn.prediction import RoundTrace

Levels = Literal["both", "semantic", "class", "none"]
TRUST_RAMP = 0.1  # of the confidence, below the threshold
SHARPNESS = 0.5  # difference of logits by which a class must lead for a label to be clear
IDENTITY_RANGE = 8.0  # far beyond what an embedding head gives, small enough for float32


def trust(
    logits: Tensor, threshold: float, eta: Tensor | None = None, smooth: bool = True
) -> Tensor:
    r"""Compute how far each node is confident enough to keep its label.

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
        `(N,)`, in [0, 1]: 1 for nodes that are confident.
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
    """Compute labels that change continuously: nearly one-hot except where classes tie.

    Args:
        logits: `(N, C)`.

    Returns:
        `(N, C)`; rows sum to 1.
    """
    return (logits / SHARPNESS).softmax(1)


class RoundFields(TypedDict, total=False):
    """Options of `RoundOptions`, as keyword arguments."""

    k: int
    threshold: float
    blend: tuple[float, float]
    learn_blend: bool
    conv: Layer
    feature_conv: Layer
    levels: Levels
    smooth: bool


@dataclass(frozen=True)
class RoundOptions:
    """Options of a round of correction.

    Args:
        k: neighbors per pixel in the semantic-level graph, besides the pixel itself; found exactly
            in images of up to 16,384 pixels, approximately in larger ones.
        threshold: tau, confidence from which a pixel mostly keeps its label.
        blend: weight of the neighbors' opinion for a pixel that is (confident, not confident).
        learn_blend: learn these weights, round by round; they start at least 0.001 from 0 and 1.
        conv: passes labels over the semantic-level graph: `affinity`, the weighted sum of the
            paper, or any layer of PyG that fits, by name (`GCNConv`, `GATv2Conv`, `SAGEConv`,
            `TransformerConv`, `TAGConv`; a wrong name lists all), with options as in
            `{name: GATv2Conv, heads: 4, concat: false}`, or by class or factory (in a
            configuration `{_target_: mine.Layer, _partial_: true}`), see `GraphLayer`; those with
            weights start at random and must be trained.
        feature_conv: passes features over the class-level graph, see `conv`; `affinity` needs
            no edges, other layers get `k` agreeing pixels per pixel, drawn again at each call in
            training.
        levels: graphs that messages flow over: `both`, `semantic`, `class` or `none`.
        smooth: False for the published form: exactly k neighbors, found in later rounds by the
            moved features alone, and hard steps for trust and agreement. There, features of one
            label nearly coincide after the first round, so from the second round on two machines
            or precisions agree in nearly all labels, but in the logits only to some tenths.

    Raises:
        ValueError: if an option is out of range.
    """

    k: int = 20
    threshold: float = 0.95
    blend: tuple[float, float] = (0.2, 0.8)
    learn_blend: bool = False
    conv: Layer = "affinity"
    feature_conv: Layer = "affinity"
    levels: Levels = "both"
    smooth: bool = True

    def __post_init__(self) -> None:
        check_neighbors(self.k)
        if self.levels not in ("both", "semantic", "class", "none"):
            raise ValueError(
                f"expected levels to be 'both', 'semantic', 'class' or 'none', got {self.levels!r}"
            )
        pair = tuple(self.blend) if isinstance(self.blend, Iterable) else ()
        if len(pair) != 2 or not all(0 <= a <= 1 for a in (self.threshold, *pair)):
            raise ValueError(
                "expected threshold and the two numbers of blend in [0, 1], "
                f"got {self.threshold} and {pair or self.blend}"
            )
        object.__setattr__(self, "blend", pair)  # a configuration brings a list

    @property
    def moves_labels(self) -> bool:
        """True if labels flow between neighbors."""
        return self.levels in ("both", "semantic")

    @property
    def moves_features(self) -> bool:
        """True if features flow between pixels that agree."""
        return self.levels in ("both", "class")


class CorrectionRound(nn.Module):
    r"""Propagate labels between similar nodes, then features between nodes that agree.

    .. math::
        Z' = (1 - a) Z + a \hat A Z, \quad Z_r = W_2 (W_1 Z' + b_1) + b_2, \qquad
        F' = \hat G F, \quad F_r = V_2 \mathrm{relu}(V_1 F' + a_1) + a_2

    with :math:`\hat A` the semantic-level graph of the features F, :math:`\hat G` the class-level
    graph of the corrected logits, :math:`G_{ij} = q_i^\top q_j` for :math:`q_i` the unit vector
    along :math:`\mathrm{softmax}(2 Z_{ri})`, and :math:`a_i` small where node i is confident.
    Starts as the identity transform around the propagation, for features above -8.

    Args:
        num_classes: C.
        feature_dim: D; None for a round without transforms and parameters.
        options: k, threshold, layers and the rest. Without `smooth`, as published, trust is a step,
            and nodes agree only if they have the same label before the round:
            :math:`G_{ij} = [y_i = y_j]\, q_i^\top q_j` with q along :math:`\mathrm{softmax}(Z_r)`.

    Raises:
        ValueError: if `feature_conv` has weights and `feature_dim` is None, or a layer does not
            fit.
    """

    def __init__(
        self, num_classes: int, feature_dim: int | None, options: RoundOptions = RoundOptions()
    ) -> None:
        super().__init__()
        self.options, self.blending = options, None
        if options.learn_blend and options.moves_labels:
            self.blending = nn.Parameter(torch.tensor(options.blend).logit(eps=1e-3))
        self.conv = _layer(options.conv, num_classes) if options.moves_labels else None
        self.feature_conv = None
        if options.moves_features and options.feature_conv != "affinity":
            if feature_dim is None:
                raise ValueError(
                    f"feature_conv={options.feature_conv} has weights, so the corrector needs "
                    "feature_dim"
                )
            self.feature_conv = _layer(options.feature_conv, feature_dim)
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
            eta: class thresholds `(C,)`, see `trust`.

        Returns:
            The corrected logits `(N, C)` and features `(N, D)`.
        """
        label = logits.detach().argmax(1)
        if graph is not None:
            a = self.neighbor_weight(logits, eta)[:, None]
            logits = (1 - a) * logits + a * self._opinion(graph, logits)
        logits = self.class_transform(logits)
        if self.options.moves_features:
            features = self._agreement(logits.detach(), label, batch, features)
        return logits, self.feature_transform(features)

    def neighbor_weight(self, logits: Tensor, eta: Tensor | None) -> Tensor:
        """Compute the weight a of the neighbors' logits for each node.

        Args:
            logits: `(N, C)`.
            eta: class thresholds `(C,)`, see `trust`.

        Returns:
            `(N,)`, in [0, 1].
        """
        t = self.trust(logits, eta)
        of_confident, of_others = self.blend_weights(logits).unbind()
        return of_others + t * (of_confident - of_others)

    def trust(self, logits: Tensor, eta: Tensor | None) -> Tensor:
        """Compute how far each node is confident enough to keep its label, see `trust`.

        Args:
            logits: `(N, C)`.
            eta: class thresholds `(C,)`, see `trust`.

        Returns:
            `(N,)`, in [0, 1].
        """
        return trust(logits.detach(), self.options.threshold, eta, self.options.smooth)

    def blend_weights(self, like: Tensor) -> Tensor:
        """Return the weights a of confident nodes and of all others.

        Args:
            like: tensor that sets type and device.

        Returns:
            `(2,)`.
        """
        if self.blending is not None:
            return self.blending.to(like).sigmoid()
        return like.new_tensor(self.options.blend)

    @torch.no_grad()
    def trace(
        self, before: Tensor, after: Tensor, batch: Tensor, graph: Data | None, eta: Tensor | None
    ) -> RoundTrace:
        """Record a call of the round, for explanations.

        Args:
            before: logits `(N, C)` before the round.
            after: logits `(N, C)` after it.
            batch: image of each node `(N,)`.
            graph: see `forward`.
            eta: see `forward`.

        Returns:
            Logits, trust and weights of the nodes, and both graphs.
        """
        weight = before.new_zeros(len(before))
        weight = weight if graph is None else self.neighbor_weight(before, eta)
        label = before.argmax(1)
        hubs = self.hubs(after, label, batch) if self.options.moves_features else None
        return RoundTrace(before, after, self.trust(before, eta), weight, graph, hubs)

    def _opinion(self, graph: Data, logits: Tensor) -> Tensor:
        """Return the mean logits `(N, C)` of the neighbors of each node, anchors included."""
        n, sources = len(logits), logits
        if "fixed" in graph:
            sources = torch.cat([logits, graph.fixed.to(logits)])
        if self.conv is None:
            return propagate(graph.edge_index, graph.edge_weight, sources, num_targets=n)
        edge_index, weight = graph.edge_index, graph.edge_weight.to(logits)
        if len(sources) > n:
            # Anchors have no in-edges; self-loops keep them in degree-normalizing layers.
            anchors = torch.arange(n, len(sources), device=edge_index.device)
            edge_index = torch.cat([edge_index, anchors.expand(2, -1)], dim=1)
            weight = torch.cat([weight, weight.new_ones(len(anchors))])
        opinion: Tensor = self.conv(sources, edge_index, weight)
        return opinion[:n]

    def _agreement(self, logits: Tensor, label: Tensor, batch: Tensor, features: Tensor) -> Tensor:
        """Return the mean features `(N, D)` of the nodes that agree with each node."""
        if self.feature_conv is None:
            return self.hubs(logits, label, batch).propagate(features)
        if self.training:
            graph = class_graph(logits, label, batch, k=self.options.k)
        else:
            graph = self._same_partners(logits, label, batch)
        weight = random_walk_norm(graph.edge_index, graph.edge_weight, len(logits))
        mean: Tensor = self.feature_conv(features, graph.edge_index, weight.to(features))
        return mean

    def hubs(self, logits: Tensor, label: Tensor, batch: Tensor) -> ClassHubs:
        """Build the class-level graph of nodes that agree.

        Args:
            logits: `(N, C)` after correction.
            label: `(N,)` before the round; used without `smooth`.
            batch: image of each node `(N,)`.

        Returns:
            The graph in factored form.
        """
        if self.options.smooth:
            return class_hubs(logits / SHARPNESS, batch=batch, agreement="overlap")
        return class_hubs(logits, label, batch)

    def _same_partners(self, logits: Tensor, label: Tensor, batch: Tensor) -> Data:
        """Sample partners with a fixed seed for each image, independent of the batch."""
        sizes = batch.unique_consecutive(return_counts=True)[1].tolist() or [0]
        graphs = []
        for z, y in zip(logits.split(sizes), label.split(sizes), strict=True):
            generator = torch.Generator(logits.device).manual_seed(0)
            graphs.append(class_graph(z, y, k=self.options.k, generator=generator))
        return Batch.from_data_list(graphs)


def _layer(conv: Layer, channels: int) -> GraphLayer | None:
    return None if conv == "affinity" else GraphLayer(conv, channels)


def _identity_linear(size: int, bias: float = 0.0) -> nn.Linear:
    linear = nn.Linear(size, size)
    nn.init.eye_(linear.weight)
    nn.init.constant_(linear.bias, bias)
    return linear
