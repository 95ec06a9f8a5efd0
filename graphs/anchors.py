"""Anchors: a memory of nodes with known labels, and edges from it to an image's nodes."""

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphs.checks import check_labels, check_nodes, check_positive, describe
from graphs.index import NeighborIndex, Neighbors, automatic_search
from graphs.search import MakeSearch


def join_features(maps: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    r"""Put several feature maps side by side, so that graphs see them all.

    .. math::
        F_i = [\sqrt{w_1}\, F^1_i / \|F^1_i\|, \; \dots, \; \sqrt{w_M}\, F^M_i / \|F^M_i\|]

    so that a squared distance or an inner product is the weighted sum of those of the single maps.

    Args:
        maps: M maps `(B, D_m, h_m, w_m)`; all are brought to the first one's size, bilinearly.
        weights: w, one per map, not negative; 1 by default.

    Returns:
        `(B, D_1 + ... + D_M, h_1, w_1)`.

    Raises:
        ValueError: if there is no map, not one weight per map, or a map of another form.
    """
    weights = [1.0] * len(maps) if weights is None else weights
    if not maps or len(weights) != len(maps) or min(weights) < 0:
        raise ValueError(
            f"expected at least one map and a weight of 0 or more for each, "
            f"got {len(maps)} maps and weights {list(weights)}"
        )
    for m in maps:
        if m.dim() != 4 or len(m) != len(maps[0]) or not m.is_floating_point():
            raise ValueError(
                f"expected floating-point maps (B, D, h, w) of {len(maps[0])} images, "
                f"got {describe(m)}"
            )
    size = maps[0].shape[-2:]
    return torch.cat(
        [
            weight**0.5
            * F.normalize(F.interpolate(m, size, mode="bilinear", align_corners=False), dim=1)
            for m, weight in zip(maps, weights, strict=True)
        ],
        dim=1,
    )


class AnchorMemory(nn.Module):
    """Nodes of labeled images: features with known labels, balanced by class, under a fixed budget.

    Each class owns an equal share of the budget and keeps a uniform sample of all nodes that it was
    ever given: those with the largest random keys. So rare classes are kept whole, and frequent
    ones do not crowd them out. The state is in `state_dict`.

    Args:
        num_classes: C.
        feature_dim: D.
        budget: nodes in all, at least one per class; every class owns as many, so that what is left
            of the division is unused.
        seed: of the sampling.
        search: how neighbors are found, see `NeighborIndex`; by default exactly up to 16,384 nodes,
            else approximately.

    >>> memory = AnchorMemory(num_classes=2, feature_dim=3, budget=4)
    >>> memory.add(torch.randn(10, 3), torch.tensor([0] * 9 + [1]))
    >>> memory.label.tolist()
    [0, 0, 1]
    """

    slots: Tensor
    key: Tensor
    source: Tensor
    calls: Tensor

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        budget: int,
        seed: int = 0,
        search: MakeSearch = automatic_search,
    ) -> None:
        super().__init__()
        if budget < num_classes:
            raise ValueError(
                f"expected a budget of at least one node for each of {num_classes} classes, "
                f"got {budget}"
            )
        self.num_classes, self.share = num_classes, budget // num_classes
        self.seed, self.search = seed, search
        self._index: NeighborIndex | None = None
        self.register_buffer("slots", torch.zeros(num_classes, self.share, feature_dim))
        self.register_buffer("key", torch.full((num_classes, self.share), -1.0))  # -1: free
        self.register_buffer("source", torch.full((num_classes, self.share), -1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def extra_repr(self) -> str:
        return f"{self.num_classes} classes of {self.share} nodes, D={self.slots.size(-1)}"

    def __len__(self) -> int:
        return int((self.key >= 0).sum())

    @property
    def x(self) -> Tensor:
        """Features of all nodes kept `(M, D)`, class after class."""
        return self.slots[self.key >= 0]

    @property
    def label(self) -> Tensor:
        """Their labels `(M,)`."""
        return (self.key >= 0).nonzero()[:, 0]

    @property
    def image(self) -> Tensor:
        """The images that they are from `(M,)`, -1 where that was not said."""
        return self.source[self.key >= 0]

    @torch.no_grad()
    def add(self, x: Tensor, label: Tensor, image: Tensor | int = -1) -> None:
        """Take in labeled nodes.

        Args:
            x: features `(N, D)`.
            label: `(N,)`; leave void nodes out.
            image: number of the image that each is from `(N,)`, or of all; needed only to hide an
                image's own nodes from it.

        Raises:
            ValueError: if the shapes do not fit, features are not finite, or a label is out of
                range.
        """
        check_nodes(x)
        if x.size(1) != self.slots.size(-1):
            raise ValueError(f"expected features (N, {self.slots.size(-1)}), got {tuple(x.shape)}")
        check_labels(label, len(x), self.num_classes)
        # What is drawn depends on the state alone, so that a resumed run draws the same.
        generator = torch.Generator().manual_seed(self.seed + int(self.calls))
        new_key = torch.rand(len(x), generator=generator).to(self.key)
        self.calls += 1
        self._index = None
        image = torch.as_tensor(image, device=self.source.device).expand(len(x))
        for c in label.unique().tolist():
            mine = label == c
            key, kept = torch.cat([self.key[c], new_key[mine]]).topk(self.share)
            self.slots[c] = torch.cat([self.slots[c], x[mine].to(self.slots)])[kept]
            self.source[c] = torch.cat([self.source[c], image[mine]])[kept]
            self.key[c] = key

    def clear(self) -> None:
        """Forget all nodes, to refill the memory with features of a network that moved on."""
        self.key.fill_(-1)
        self._index = None

    def nearest(self, x: Tensor, k: int, image: Tensor | None = None) -> Neighbors:
        """Find the `k` nodes nearest to each of `x (N, D)` by squared distance.

        The memory is prepared for it once, and anew after it has changed.

        Args:
            x: `(N, D)`.
            k: nodes to find.
            image: number of the image that each node is from `(N,)`; an image's own nodes are
                hidden from it, so that labeled images can be used as if they were not.

        Raises:
            ValueError: as `NeighborIndex`.
        """
        if self._index is None:
            self._index = NeighborIndex(self.x, "l2", self.search)
        if image is None:
            return self._index(x, k)
        indices = torch.full((len(x), k), -1, device=x.device)
        similarity = torch.full((len(x), k), -torch.inf, device=x.device)
        for number in image.unique().tolist():
            mine = image == number
            found = self._index(x[mine], k, hidden=self.image == number)
            indices[mine], similarity[mine] = found.indices, found.similarity.to(similarity)
        return Neighbors(indices, similarity)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:  # to another device or dtype
        self._index = None
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._index = None
        super()._load_from_state_dict(*args)


@torch.no_grad()
def anchor_graph(
    x: Tensor,
    memory: AnchorMemory,
    k: int = 20,
    temperature: float = 0.1,
    image: Tensor | None = None,
) -> HeteroData:
    r"""Join each node to the nodes of a memory that look most like it, wherever they come from.

    .. math::
        w_{ij} = \exp\big(-(d_{ij} - \min_j d_{ij}) / T\big), \qquad
        d_{ij} = \|x_i - m_j\|^2, \; j \in \mathrm{top}_k(i)

    Args:
        x: node features `(N, D)`, of all images.
        memory: M nodes with known labels.
        k: memory nodes per node.
        temperature: T.
        image: number of the image that each node is from `(N,)`; the memory's nodes from the same
            image are not reached.

    Returns:
        A bipartite graph: node types `anchor` (M) and `pixel` (N), and of the edge type
        `(anchor, tells, pixel)` `edge_index (2, E)`, sorted by pixel, and `edge_weight (E,)` in
        (0, 1], the nearest at 1.

    Raises:
        ValueError: as `NeighborIndex`, or if the memory is empty.
    """
    check_positive(temperature=temperature)
    if not len(memory):
        raise ValueError("expected a memory with nodes, got an empty one; call memory.add first")
    found = memory.nearest(x, k, image)
    weight = ((found.similarity - found.similarity[:, :1]) / temperature).exp().flatten()
    source = found.indices.flatten()
    target = torch.arange(len(x), device=x.device).repeat_interleave(k)
    kept = source >= 0
    graph = HeteroData()
    graph["anchor"].num_nodes, graph["pixel"].num_nodes = len(memory), len(x)
    graph["anchor", "tells", "pixel"].edge_index = torch.stack([source[kept], target[kept]])
    graph["anchor", "tells", "pixel"].edge_weight = weight[kept]
    return graph
