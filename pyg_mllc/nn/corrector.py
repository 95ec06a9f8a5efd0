"""Label correction: rounds of message passing on two graphs."""

from typing import Literal, NamedTuple, Unpack, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data, HeteroData

from graphs import AnchorMemory, anchor_evidence, anchor_graph
from graphs.maps import Maps
from graphs.taper import num_tapered
from graphs.validation import check_int, check_nodes, check_positive
from pyg_mllc.nn.class_thresholds import class_thresholds
from pyg_mllc.nn.correction_round import CorrectionRound, RoundFields, RoundOptions
from pyg_mllc.nn.label_graph import add_anchors, label_graph
from pyg_mllc.nn.node_batch import Nodes, pixel_nodes
from pyg_mllc.nn.prediction import CorrectionOutput, Prediction
from pyg_mllc.utils.resize import joint_bilateral_upsampling, resize_map

AnchorRule = Literal["mean", "bayes"]


class CorrectedLabels(NamedTuple):
    """Labels after correction; each field is a list of maps if the logits are one."""

    label: Maps  # (B, H, W)
    confidence: Maps  # (B, H, W), probability of that label
    changed: Maps  # (B, H, W) bool, where the label differs from that before
    transitions: Tensor  # (C, C), on the CPU: pixels of each class before (row) and after (column)


class LabelCorrector(nn.Module):
    r"""Correct the labels of an image's pixels by graphs over them, round by round.

    Multi-Level Label Correction (Xiao et al., IEEE TMM 2024). In each round labels flow between
    pixels that look alike, then features between pixels that agree, see `CorrectionRound`.
    Gradients flow through logits and features, none through a graph's weights. Computes in float32,
    under autocast too, in float64 if it has float64 weights, or none and float64 logits; graphs are
    built in float64 on devices that have it. `torch.compile` works, with graph breaks at searches.

    By default the result is a continuous function of logits and features, so that processors,
    precisions, threads, batches and exports agree: logits to about 1e-3 where inputs do to 1e-6.
    That holds for the layers `affinity` and images of up to 16,384 pixels. Three things make it so:
    the weights of neighbors fall to zero at the last one (`graphs.taper`); later rounds compare the
    features that a round has moved *and* the original ones; trust and agreement are ramps, no
    steps. `smooth=False` is the published form.

    Args:
        num_classes: C.
        feature_dim: D, for rounds with trainable transforms that start as the identity (for
            features above -8, which a ReLU stands between); by default the corrector has no
            parameters and works on features of any size.
        rounds: K; with 0, the input is the only output.
        share_weights: one set of weights for all rounds.
        dynamic_graph: rebuild the semantic-level graph in each later round, by the original
            features and those that the round before has moved, side by side; else keep the first.
        anchor_rule: how anchors, labeled pixels of other images, take part where there are any.
            `mean`: among the neighbors, with fixed labels. `bayes`: as evidence, which is added to
            the logits before the first round, see `anchor_evidence`.
        anchor_share: with `mean`, weight of the anchors among a pixel's neighbors, by default a
            half; the better the labels to correct, the less. With `bayes`, factor of the evidence,
            by default 1.
        anchor_temperature: of the anchors' weights, see `anchor_graph`.
        edge_aware: whether the change of the logits is brought to the size of the image along its
            edges, see `joint_bilateral_upsampling`; by default bilinearly.
        **options: of each round: those of `RoundOptions`.

    Raises:
        TypeError: if there is no option of a name.
        ValueError: if an option is out of range or a layer does not fit.

    >>> corrector = LabelCorrector(num_classes=3, k=4)
    >>> output = corrector(torch.randn(2, 3, 6, 8), torch.randn(2, 16, 6, 8))
    >>> len(output.rounds), tuple(output.logits.shape)
    (2, (2, 3, 6, 8))
    """

    def __init__(
        self,
        num_classes: int,
        feature_dim: int | None = None,
        rounds: int = 2,
        *,
        share_weights: bool = False,
        dynamic_graph: bool = True,
        anchor_rule: AnchorRule = "mean",
        anchor_share: float | None = None,
        anchor_temperature: float = 0.2,
        edge_aware: bool = False,
        **options: Unpack[RoundFields],
    ) -> None:
        super().__init__()
        check_int(2, num_classes=num_classes)
        check_int(0, rounds=rounds)
        if feature_dim is not None:
            check_int(1, feature_dim=feature_dim)
        if unknown := options.keys() - RoundFields.__annotations__.keys():
            raise TypeError(
                f"LabelCorrector has no option {min(unknown)}; the options of a round are "
                f"{', '.join(RoundFields.__annotations__)}"
            )
        self.options = RoundOptions(**options)
        if anchor_rule not in ("mean", "bayes"):
            raise ValueError(f"expected anchor_rule to be 'mean' or 'bayes', got {anchor_rule!r}")
        if anchor_share is None:
            anchor_share = 0.5 if anchor_rule == "mean" else 1.0
        if not 0 <= anchor_share <= 1:
            raise ValueError(f"expected anchor_share in [0, 1], got {anchor_share}")
        check_positive(anchor_temperature=anchor_temperature)
        self.num_classes, self.feature_dim = num_classes, feature_dim
        self.edge_aware = edge_aware
        # Features that nothing moves would give the same semantic-level graph again.
        moved = self.options.moves_features or feature_dim is not None
        self.dynamic_graph = dynamic_graph and self.options.moves_labels and moved
        self.anchor_rule: AnchorRule = anchor_rule
        self.anchor_share, self.anchor_temperature = anchor_share, anchor_temperature
        steps = [
            CorrectionRound(num_classes, feature_dim, self.options)
            for _ in range(min(rounds, 1) if share_weights else rounds)
        ]
        self.rounds = nn.ModuleList(steps * rounds if share_weights else steps)

    def forward(
        self,
        logits: Maps | Batch,
        features: Maps | None = None,
        class_counts: Tensor | None = None,
        *,
        anchors: AnchorMemory | None = None,
        image: Tensor | None = None,
        graph_features: Maps | None = None,
        evidence: Maps | None = None,
        trace: bool = False,
    ) -> CorrectionOutput:
        r"""Return the prediction before the first round and after each.

        Args:
            logits: `Z (B, C, h, w)`, finite; or B maps `(C, h_i, w_i)` of different sizes; or a PyG
                `Batch` with node values `logits (N, C)` and `x (N, D)`.
            features: `F (B, D, h, w)`, finite, or B maps; not with a `Batch`.
            class_counts: confident pixels seen per class `n (C,)`, for the class thresholds
                :math:`\eta_c = \tau n_c / \max n`; by default only tau counts.
            anchors: labeled pixels of other images, which take part with labels that stay fixed.
                They are found once, by the features before the first round.
            image: number `(B,)` of each image in `anchors`, whose own pixels are hidden from it;
                -1 for images that are not in it; or that of each pixel `(N,)`, row by row.
            graph_features: maps `(B, D', h, w)` that the semantic-level graph of all rounds and the
                anchors are found by, such as `join_features` gives; by default the features, and
                after a round also the features that it has moved.
            evidence: log density of each class at each pixel `(B, C, h, w)`, in the form of the
                logits, such as `ClassGaussians` gives, times its weight. It is added to the logits
                before the first round; without rounds, nothing is.
            trace: whether to record what nodes saw in each round, for explanations.

        Returns:
            The input and K predictions, all in its form; node values `(N, .)` for a `Batch`.

        Raises:
            ValueError: if the sizes of logits and features differ or do not fit the corrector, a
                number is not finite, or anchors, images or counts do not fit.
        """
        nodes = pixel_nodes(logits, features, graph_features, evidence)
        self._check(nodes, anchors, image, class_counts)
        eta = None
        if class_counts is not None:
            eta = class_thresholds(class_counts, self.options.threshold)
        rounds, traces = [], []
        with torch.autocast(nodes.z.device.type, enabled=False):
            weight = next(self.parameters(), nodes.z)
            dtype = torch.promote_types(weight.dtype, torch.float32)
            z, f = nodes.z.to(dtype), nodes.f.to(dtype)
            first = (f if nodes.graph_features is None else nodes.graph_features.to(dtype)).detach()
            edges, graph = None, None
            if nodes.evidence is not None and self.rounds:
                z = z + nodes.evidence.to(z)
            if anchors is not None and self.rounds:
                edges = self._anchor_edges(first, anchors, nodes, image)
                if self.anchor_rule == "bayes":
                    kernel = anchor_evidence(edges, anchors.label, self.num_classes)
                    z = z + self.anchor_share * kernel.to(z)
            compared = [first]
            for step in cast(list[CorrectionRound], self.rounds):
                if self._builds_graph(graph, nodes.graph_features):
                    graph = self._graph(compared, nodes, edges, anchors)
                before = z
                z, f = step(z, f, nodes.batch, graph, eta)
                compared = [first, f.detach()]
                rounds.append(Prediction(nodes.restore(z), nodes.restore(f)))
                if trace:
                    traces.append(step.trace(before, z, nodes.batch, graph, eta))
        return CorrectionOutput(nodes.original, tuple(rounds), tuple(traces))

    def _anchor_edges(
        self, x: Tensor, anchors: AnchorMemory, nodes: Nodes, image: Tensor | None
    ) -> HeteroData:
        of_node = None if image is None else image.to(x.device)
        if of_node is not None and len(of_node) == nodes.num_images:
            of_node = of_node[nodes.batch]
        k, smooth = self.options.k, self.options.smooth
        return anchor_graph(x, anchors, k, self.anchor_temperature, of_node, smooth)

    def _builds_graph(self, graph: Data | None, graph_features: Tensor | None) -> bool:
        """Return whether the next round needs a new semantic-level graph."""
        moves = self.dynamic_graph and graph_features is None
        return self.options.moves_labels and (graph is None or moves)

    def _graph(
        self,
        compared: list[Tensor],
        nodes: Nodes,
        edges: HeteroData | None,
        anchors: AnchorMemory | None,
    ) -> Data:
        """Build the graph that labels flow over, with anchors if they are neighbors."""
        graph = label_graph(compared, nodes.batch, self.options.k, nodes.pos, self.options.smooth)
        if edges is None or anchors is None or self.anchor_rule != "mean":
            return graph
        return add_anchors(graph, edges, anchors.label, self.num_classes, self.anchor_share)

    def correct(
        self,
        logits: Maps,
        features: Maps,
        class_counts: Tensor | None = None,
        *,
        size: tuple[int, int] | None = None,
        anchors: AnchorMemory | None = None,
        image: Tensor | None = None,
        graph_features: Maps | None = None,
        evidence: Maps | None = None,
        guide: Maps | None = None,
    ) -> CorrectedLabels:
        """Return corrected labels of any size.

        The correction happens at the features' size; its change of the logits, not the logits
        themselves, is brought to the output's size. So detail of the logits that is finer than the
        features stays, and errors as fine stay with it: to fix single wrong pixels, bring the
        features to the logits' size first.

        Args:
            logits: `Z (B, C, h', w')`, of any size, or B maps `(C, h'_i, w'_i)`.
            features: `F (B, D, h, w)`, or B maps `(D, h_i, w_i)`.
            class_counts: see `forward`.
            size: height and width (H, W) of the labels; by default those of the logits.
            anchors: see `forward`.
            image: see `forward`.
            graph_features: see `forward`.
            evidence: see `forward`, at the features' size.
            guide: the images `(B, 3, ., .)` in [0, 1], of any size, or B images; needed if
                `edge_aware`, and not used otherwise.

        Returns:
            Labels, their confidence and whether they changed, `(B, H, W)` each, or lists of maps
            `(H_i, W_i)` if the logits are a list; and how many pixels moved from class to class.

        Raises:
            ValueError: as `forward`, but for the size, or if a guide is missing.
        """
        if self.edge_aware and (guide is None or len(guide) != len(logits)):
            raise ValueError("with edge_aware the images must be given, guide=(B, 3, H, W)")
        for name, value in (("logits", logits), ("features", features)):
            if isinstance(value, Batch) or value is None or any(m.dim() != 3 for m in value):
                raise ValueError(f"expected {name} to be maps (B, ., h, w), or a list of (., h, w)")
        if len(logits) != len(features) or not len(logits):
            raise ValueError(
                f"expected logits and features of the same images, at least one, "
                f"got {len(logits)} and {len(features)}"
            )
        with torch.no_grad():
            small = [resize_map(z, f.shape[-2:]) for z, f in zip(logits, features, strict=True)]
            tensors = isinstance(logits, Tensor) and isinstance(features, Tensor)
            output = self(
                torch.stack(small) if tensors else small,
                features,
                class_counts,
                anchors=anchors,
                image=image,
                graph_features=graph_features,
                evidence=evidence,
            )
            labels: list[tuple[Tensor, Tensor, Tensor]] = []
            c = self.num_classes
            transitions = torch.zeros(c, c, dtype=torch.long)
            changes = zip(output.before.logits, output.after.logits, strict=True)
            for i, (z, (before, after)) in enumerate(zip(logits, changes, strict=True)):
                full = resize_map(z, size or z.shape[-2:])
                picture = guide[i] if guide is not None and self.edge_aware else None
                corrected = full + _bring_up(after - before, full.shape[-2:], picture)
                confidence, label = corrected.softmax(0).max(0)
                previous = full.argmax(0)
                labels.append((label, confidence, label != previous))
                pairs = (c * previous + label).flatten().cpu()
                transitions += torch.bincount(pairs, minlength=c * c).view(c, c)
        maps: list[Maps] = [list(column) for column in zip(*labels, strict=True)]
        if isinstance(logits, Tensor):
            maps = [torch.stack(list(column)) for column in maps]
        return CorrectedLabels(maps[0], maps[1], maps[2], transitions)

    @property
    def neighbors(self) -> int:
        """Number of neighbors that influence a pixel's label, itself excluded."""
        return num_tapered(self.options.k) if self.options.smooth else self.options.k

    def check_anchors(self, anchors: AnchorMemory) -> None:
        """Raise an error if anchors cannot take part in correction.

        Args:
            anchors: labeled nodes.

        Raises:
            ValueError: if they have other classes, or no labels flow between neighbors.
        """
        if not self.options.moves_labels and self.anchor_rule == "mean":
            raise ValueError(
                "anchors among the neighbors need corrector.levels=both or semantic, or "
                "corrector.anchor_rule=bayes"
            )
        if anchors.num_classes != self.num_classes:
            raise ValueError(
                f"expected anchors of {self.num_classes} classes, got {anchors.num_classes}"
            )

    def _check(
        self,
        nodes: Nodes,
        anchors: AnchorMemory | None,
        image: Tensor | None,
        class_counts: Tensor | None,
    ) -> None:
        if nodes.z.size(1) != self.num_classes:
            raise ValueError(
                f"expected logits of {self.num_classes} classes, got {nodes.z.size(1)}"
            )
        if self.feature_dim not in (None, nodes.f.size(1)):
            raise ValueError(
                f"expected features of {self.feature_dim} channels, got {nodes.f.size(1)}"
            )
        if not torch.isfinite(nodes.z).all():
            raise ValueError("expected finite logits, got NaN or infinity")
        check_nodes(nodes.f, "features")
        if nodes.evidence is not None:
            check_nodes(nodes.evidence, "evidence")
            if nodes.evidence.shape != nodes.z.shape:
                raise ValueError(
                    f"expected evidence for {self.num_classes} classes at each pixel, "
                    f"got {tuple(nodes.evidence.shape)} for {len(nodes.z)} pixels"
                )
        if any(p.dtype.itemsize < 4 for p in self.parameters()):
            raise ValueError(
                "expected a corrector in float32 or float64, got one in half precision; leave it "
                "in float32 and use torch.autocast around the call"
            )
        if image is not None and anchors is None:
            raise ValueError("image tells whose anchors to hide, so it needs anchors")
        if class_counts is not None and class_counts.shape != (self.num_classes,):
            raise ValueError(
                f"expected class_counts ({self.num_classes},), got {tuple(class_counts.shape)}"
            )
        if anchors is not None:
            self.check_anchors(anchors)
        if image is not None and image.shape not in ((nodes.num_images,), (len(nodes.z),)):
            raise ValueError(
                f"expected one image number for each of {nodes.num_images} images or of "
                f"{len(nodes.z)} pixels, got {tuple(image.shape)}"
            )


def _bring_up(change: Tensor, size: torch.Size, image: Tensor | None) -> Tensor:
    """Resize a change of logits, along the edges of an image if there is one and it grows."""
    if image is None or size[0] < change.size(1) or size[1] < change.size(2):
        return resize_map(change, size)
    guide = resize_map(image.to(change), size)[None]
    return joint_bilateral_upsampling(guide, change.shape[-2:])(change[None])[0]
