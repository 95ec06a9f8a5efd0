"""A memory of nodes with known labels."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from graphs.knn.index import NeighborIndex, Neighbors, automatic_search
from graphs.knn.search import MakeSearch
from graphs.precision import precise
from graphs.validation import check_labels, check_nodes, check_numbers, check_positive


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

    Raises:
        ValueError: if there are no classes or features, or the budget has no node for each class.

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
        check_positive(num_classes=num_classes, feature_dim=feature_dim)
        if budget < num_classes:
            raise ValueError(
                f"expected a budget of at least one node for each of {num_classes} classes, "
                f"got {budget}"
            )
        self.num_classes, self.share = num_classes, budget // num_classes
        self.seed, self.search = seed, search
        self._index: NeighborIndex | None = None
        self.register_buffer("slots", torch.zeros(num_classes, self.share, feature_dim))
        # Whole numbers, which stay what they are when the module goes to another precision.
        self.register_buffer("key", torch.full((num_classes, self.share), -1))  # -1: free
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
        label = check_labels(label, len(x), self.num_classes)
        # What is drawn depends on seed and state alone, so that a resumed run draws the same.
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + int(self.calls))
        new_key = torch.randint(2**62, (len(x),), generator=generator).to(self.key)
        image = torch.as_tensor(image, device=self.source.device)
        image = image.expand(len(x)) if image.dim() == 0 else image
        image = check_numbers("image", image, len(x), "one per node")
        self.calls += 1
        self._index = None
        for c in label.unique().tolist():
            mine = label == c
            key, kept = torch.cat([self.key[c], new_key[mine]]).topk(self.share)
            self.slots[c] = torch.cat([self.slots[c], x[mine].to(self.slots)])[kept]
            self.source[c] = torch.cat([self.source[c], image[mine]])[kept]
            self.key[c] = key

    def forget(self, image: Tensor) -> None:
        """Forget the nodes of some images, to take in new ones of a network that moved on.

        What is added next fills the room, so that images seen last have somewhat more nodes than
        a uniform sample would.

        Args:
            image: their numbers `(B,)`.
        """
        image = check_numbers("image", image, image.numel(), "one per image")
        self.key[torch.isin(self.source, image.to(self.source))] = -1
        self._index = None

    def clear(self) -> None:
        """Forget all nodes."""
        self.key.fill_(-1)
        self._index = None

    def nearest(self, x: Tensor, k: int, image: Tensor | None = None) -> Neighbors:
        """Find the `k` nodes nearest to each of `x (N, D)` by squared distance, in float64.

        The memory is prepared for it once, and anew after it has changed.

        Args:
            x: `(N, D)`.
            k: nodes to find.
            image: number of the image that each node is from `(N,)`; an image's own nodes are
                hidden from it, so that labeled images can be used as if they were not.

        Returns:
            Places in the memory and minus the squared distances, `(N, k)` each, the nearest first;
            -1 and minus infinity where there are fewer than k.

        Raises:
            ValueError: as `NeighborIndex`.
        """
        if self._index is None:
            self._index = NeighborIndex(precise(self.x), "l2", self.search)
        dtype = torch.promote_types(torch.promote_types(x.dtype, self.slots.dtype), torch.float32)
        if image is None:
            found = self._index(x, k)
            return Neighbors(found.indices, found.similarity.to(dtype))
        indices = torch.full((len(x), k), -1, device=x.device)
        similarity = x.new_full((len(x), k), -torch.inf, dtype=dtype)
        image = check_numbers("image", image, len(x), "one per node")
        for number in image.unique().tolist():
            mine = image == number
            hidden = self.image == number if number >= 0 else None
            found = self._index(x[mine], k, hidden)
            indices[mine], similarity[mine] = found.indices, found.similarity.to(dtype)
        return Neighbors(indices, similarity)

    def _apply(self, *args: Any, **kwargs: Any) -> Self:  # to another device or dtype
        self._index = None
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._index = None
        super()._load_from_state_dict(*args)
