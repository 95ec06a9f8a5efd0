"""Label correction: rounds of message passing between the two graphs."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphs import AnchorMemory, anchor_evidence, anchor_graph
from graphs.maps import Maps
from graphs.precision import at_least_float32
from graphs.taper import num_tapered
from graphs.validation import check_int, check_neighbors, check_nodes, check_positive
from pyg_mllc.nn.class_thresholds import class_thresholds
from pyg_mllc.nn.correction_round import CorrectionRound, Levels
from pyg_mllc.nn.graph_layer import Layer
from pyg_mllc.nn.label_graph import add_anchors, label_graph
from pyg_mllc.nn.node_batch import Nodes, pixel_nodes
from pyg_mllc.nn.prediction import Prediction

AnchorRule = Literal["mean", "bayes"]


class Correction(NamedTuple):
    """Corrected labels, and what became of them: lists of maps where the logits are a list."""

    label: Maps  # (B, H, W)
    confidence: Maps  # (B, H, W), probability of that label
    changed: Maps  # (B, H, W) bool, where the label is another than before
    moves: Tensor  # (C, C), on the CPU: pixels of each class before (row) and after (column)


class LabelCorrector(nn.Module):
    r"""Correct the labels of an image's pixels by graphs over these pixels, round by round.

    Multi-Level Label Correction (Xiao et al., IEEE TMM 2024). In each round labels flow between
    pixels that look alike, then features between pixels that agree, see `CorrectionRound`.
    Gradients flow through logits and features, none through a graph's weights. Computes in float32,
    under autocast too, in float64 if it has float64 weights, or none and float64 logits; graphs are
    found in float64 on devices that have it. `torch.compile` works, with graph breaks at searches.

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
        k: neighbors per pixel in the semantic-level graph, besides the pixel itself; found exactly
            in images of up to 16,384 pixels, approximately in larger ones.
        threshold: tau, confidence from which a pixel is trusted.
        blend: weight of the neighbors' opinion for a pixel that is (trusted, not trusted).
        learn_blend: learn these weights, round by round; they start at least 0.001 from 0 and 1.
        conv: what passes labels over the semantic-level graph: `affinity`, the weighted sum of the
            paper, or any layer of PyG that fits, by name (`GCNConv`, `GATv2Conv`, `SAGEConv`,
            `TransformerConv`, `TAGConv`; a wrong name lists all), with options as in
            `{name: GATv2Conv, heads: 4, concat: false}`, or by class or factory (in a
            configuration `{_target_: mine.Layer, _partial_: true}`), see `GraphLayer`; those with
            weights start at random and must be trained.
        feature_conv: what passes features over the class-level graph, likewise; `affinity` needs no
            edges, other layers get `k` agreeing pixels per pixel, drawn anew at each call in
            training.
        levels: graphs that messages flow over: `both`, `semantic`, `class` or `none`.
        share_weights: one set of weights for all rounds.
        rebuild: build the semantic-level graph of each later round anew, by the original features
            and those that the round before has moved, side by side; else keep the first one.
        anchor_rule: how anchors, labeled pixels of other images, take part where there are any.
            `mean`: among the neighbors, with fixed labels. `bayes`: as evidence, which is added to
            the logits before the first round, see `anchor_evidence`.
        anchor_share: with `mean`, weight of the anchors among a pixel's neighbors, by default a
            half; the better the labels to correct, the less. With `bayes`, factor of the evidence,
            by default 1.
        temperature: of the anchors' weights, see `anchor_graph`.
        smooth: False for the published form: exactly k neighbors, found in later rounds by the
            moved features alone, and hard steps for trust and agreement. There, features of one
            label nearly coincide after the first round, so from the second round on two machines
            or precisions agree in nearly all labels, but in the logits only to some tenths.

    Raises:
        ValueError: if an option is out of range or a layer does not fit.

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
        learn_blend: bool = False,
        conv: Layer = "affinity",
        feature_conv: Layer = "affinity",
        levels: Levels = "both",
        share_weights: bool = False,
        rebuild: bool = True,
        anchor_rule: AnchorRule = "mean",
        anchor_share: float | None = None,
        temperature: float = 0.2,
        smooth: bool = True,
    ) -> None:
        super().__init__()
        check_int(2, num_classes=num_classes)
        check_int(0, rounds=rounds)
        if feature_dim is not None:
            check_int(1, feature_dim=feature_dim)
        check_neighbors(k)
        if levels not in ("both", "semantic", "class", "none"):
            raise ValueError(
                f"expected levels to be 'both', 'semantic', 'class' or 'none', got {levels!r}"
            )
        if anchor_rule not in ("mean", "bayes"):
            raise ValueError(f"expected anchor_rule to be 'mean' or 'bayes', got {anchor_rule!r}")
        if anchor_share is None:
            anchor_share = 0.5 if anchor_rule == "mean" else 1.0
        pair = tuple(blend) if isinstance(blend, Iterable) else ()
        if len(pair) != 2 or not all(0 <= a <= 1 for a in (threshold, anchor_share, *pair)):
            raise ValueError(
                "expected threshold, anchor_share and the two numbers of blend in [0, 1], "
                f"got {threshold}, {anchor_share} and {pair or blend}"
            )
        check_positive(temperature=temperature)
        self.num_classes, self.feature_dim, self.threshold = num_classes, feature_dim, threshold
        self.k, self.smooth = k, smooth
        self.flows = levels in ("both", "semantic")  # whether labels flow
        # Features that nothing moves would give the same semantic-level graph again.
        self.rebuild = rebuild and (levels == "both" or feature_dim is not None)
        self.anchor_rule: AnchorRule = anchor_rule
        self.anchor_share, self.temperature = anchor_share, temperature
        steps = [
            CorrectionRound(
                num_classes,
                feature_dim,
                k=k,
                threshold=threshold,
                blend=pair,
                learn_blend=learn_blend,
                conv=conv,
                feature_conv=feature_conv,
                levels=levels,
                smooth=smooth,
            )
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
    ) -> list[Prediction]:
        r"""Give the belief before the first round and after each.

        Args:
            logits: `Z (B, C, h, w)`, finite; or B maps `(C, h_i, w_i)` of different sizes; or a PyG
                `Batch` with node values `logits (N, C)` and `x (N, D)`.
            features: `F (B, D, h, w)`, finite, or B maps likewise; not with a `Batch`.
            class_counts: confident pixels seen per class `n (C,)`, for the class thresholds
                :math:`\eta_c = \tau n_c / \max n`; by default only tau counts.
            anchors: labeled pixels of other images, which take part with labels that stay fixed.
                They are found once, by the features given.
            image: number `(B,)` of each image in `anchors`, whose own pixels are hidden from it.
            graph_features: maps `(B, D', h, w)` that the semantic-level graph of all rounds and the
                anchors are found by, such as `join_features` gives; by default the features, and
                after a round also the features that it has moved.

        Returns:
            K + 1 predictions in the form of the input, the input first; node values `(N, .)` for a
            `Batch`.

        Raises:
            ValueError: if the sizes of logits and features differ or do not fit the corrector, a
                number is not finite, or anchors, images or counts do not fit.
        """
        nodes = pixel_nodes(logits, features, graph_features)
        self._check(nodes, anchors, image, class_counts)
        eta = None if class_counts is None else class_thresholds(class_counts, self.threshold)
        history = [nodes.given]
        with torch.autocast(nodes.z.device.type, enabled=False):
            weight = next(self.parameters(), nodes.z)
            dtype = torch.promote_types(weight.dtype, torch.float32)
            z, f = nodes.z.to(dtype), nodes.f.to(dtype)
            look = f if nodes.look is None else nodes.look.to(dtype)
            found, graph = None, None
            if anchors is not None and self.rounds:
                of_node = None if image is None else image.to(z.device)[nodes.batch]
                found = anchor_graph(
                    look.detach(), anchors, self.k, self.temperature, of_node, self.smooth
                )
                if self.anchor_rule == "bayes":
                    evidence = anchor_evidence(found, anchors.label, self.num_classes)
                    z = z + self.anchor_share * evidence.to(z)
            looks = [look.detach()]
            for step in cast(list[CorrectionRound], self.rounds):
                if self.flows and (graph is None or (self.rebuild and nodes.look is None)):
                    graph = label_graph(looks, nodes.batch, self.k, nodes.pos, self.smooth)
                    if found is not None and anchors is not None and self.anchor_rule == "mean":
                        label, share = anchors.label, self.anchor_share
                        graph = add_anchors(graph, found, label, self.num_classes, share)
                z, f = step(z, f, nodes.batch, graph, eta)
                looks = [looks[0], f.detach()]
                history.append(Prediction(nodes.back(z), nodes.back(f)))
        return history

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
    ) -> Correction:
        """Give corrected labels of any size.

        The correction happens at the features' size; its change of the logits, not the logits
        themselves, is brought to the output's size. So detail of the logits that is finer than the
        features stays, and errors as fine stay with it: to mend single wrong pixels, bring the
        features to the logits' size first.

        Args:
            logits: `Z (B, C, h', w')`, of any size, or B maps `(C, h'_i, w'_i)`.
            features: `F (B, D, h, w)`, or B maps `(D, h_i, w_i)`.
            class_counts: see `forward`.
            size: height and width (H, W) of the labels; by default those of the logits.
            anchors: see `forward`.
            image: see `forward`.
            graph_features: see `forward`.

        Returns:
            Labels, their confidence and whether they changed, `(B, H, W)` each, or lists of maps
            `(H_i, W_i)` if the logits are a list; and how many pixels moved from class to class.

        Raises:
            ValueError: as `forward`, but for the size.
        """
        for name, given in (("logits", logits), ("features", features)):
            if isinstance(given, Batch) or given is None or any(m.dim() != 3 for m in given):
                raise ValueError(f"expected {name} to be maps (B, ., h, w), or a list of (., h, w)")
        if len(logits) != len(features) or not len(logits):
            raise ValueError(
                f"expected logits and features of the same images, at least one, "
                f"got {len(logits)} and {len(features)}"
            )
        with torch.no_grad():
            small = [_resize(z, f.shape[-2:]) for z, f in zip(logits, features, strict=True)]
            tensors = isinstance(logits, Tensor) and isinstance(features, Tensor)
            history = self(
                torch.stack(small) if tensors else small,
                features,
                class_counts,
                anchors=anchors,
                image=image,
                graph_features=graph_features,
            )
            maps: Any = [], [], []
            moves, c = torch.zeros(self.num_classes, self.num_classes).long(), self.num_classes
            for z, before, after in zip(logits, history[0].logits, history[-1].logits, strict=True):
                full = _resize(z, size or z.shape[-2:])
                corrected = full + _resize(after - before, full.shape[-2:])
                confidence, label = corrected.softmax(0).max(0)
                was = full.argmax(0)
                for part, value in zip(maps, (label, confidence, label != was), strict=True):
                    part.append(value)
                pairs = (c * was + label).flatten().cpu()
                moves += torch.bincount(pairs, minlength=c * c).view(c, c)
        label, confidence, changed = maps
        if isinstance(logits, Tensor):
            label, confidence, changed = (torch.stack(part) for part in maps)
        return Correction(label, confidence, changed, moves)

    @property
    def neighbors(self) -> int:
        """Number of neighbors, besides itself, that have a say in a pixel's label."""
        return num_tapered(self.k) if self.smooth else self.k

    def check_anchors(self, anchors: AnchorMemory) -> None:
        """Refuse anchors that cannot take part.

        Raises:
            ValueError: if they have other classes, or no labels flow between neighbors.
        """
        if not self.flows and self.anchor_rule == "mean":
            raise ValueError(
                "anchors among the neighbors need levels 'both' or 'semantic', or anchor_rule "
                "'bayes'"
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
        if image is not None and image.shape != (nodes.images,):
            raise ValueError(
                f"expected one image number for each of {nodes.images} images, "
                f"got {tuple(image.shape)}"
            )


def _resize(map_: Tensor, size: Sequence[int]) -> Tensor:
    """Mean of the pixels where a map shrinks, linear between them where it grows."""
    map_ = at_least_float32(map_)
    shrinks = size[0] <= map_.size(1) and size[1] <= map_.size(2)
    mode = "area" if shrinks else "bilinear"
    return F.interpolate(map_[None], tuple(size), mode=mode)[0]
