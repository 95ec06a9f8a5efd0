"""Memory of labeled nodes."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from graphs.knn import NeighborIndex, Neighbors, SearchFactory, automatic_search
from graphs.precision import to_float64
from graphs.validation import check_int_vector, check_labels, check_nodes, check_positive


class AnchorMemory(nn.Module):
    """Class-balanced memory of labeled nodes under a fixed budget.

    Each class owns an equal share of the budget and keeps a uniform sample of all nodes added to
    it: those with the largest random keys (reservoir sampling). So rare classes are kept whole, and
    frequent classes do not crowd them out. The state is in `state_dict`.

    Args:
        num_classes: C.
        feature_dim: D.
        budget: maximum number of nodes, at least C; each class owns `budget // C`.
        seed: random seed of the sampling.
        search: builds the neighbor search, see `NeighborIndex`; by default exact up to 16,384
            nodes, approximate above.

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
        search: SearchFactory = automatic_search,
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
        # Integers do not change when the module moves to another precision.
        self.register_buffer("key", torch.full((num_classes, self.share), -1))  # -1: free slot
        self.register_buffer("source", torch.full((num_classes, self.share), -1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def extra_repr(self) -> str:
        return f"{self.num_classes} classes of {self.share} nodes, D={self.slots.size(-1)}"

    def __len__(self) -> int:
        return int((self.key >= 0).sum())

    @property
    def x(self) -> Tensor:
        """Features of all nodes `(M, D)`, sorted by class."""
        return self.slots[self.key >= 0]

    @property
    def label(self) -> Tensor:
        """Labels of all nodes `(M,)`."""
        return (self.key >= 0).nonzero()[:, 0]

    @property
    def image(self) -> Tensor:
        """Image number of all nodes `(M,)`, -1 if unknown."""
        return self.source[self.key >= 0]

    @torch.no_grad()
    def add(self, x: Tensor, label: Tensor, image: Tensor | int = -1) -> None:
        """Add labeled nodes.

        Args:
            x: features `(N, D)`.
            label: `(N,)`; leave void nodes out.
            image: image number of each node `(N,)`, or of all nodes; needed only to leave an
                image's own nodes out of its neighbors.

        Raises:
            ValueError: if shapes do not match, features are not finite, or a label is out of
                range.
        """
        check_nodes(x)
        if x.size(1) != self.slots.size(-1):
            raise ValueError(f"expected features (N, {self.slots.size(-1)}), got {tuple(x.shape)}")
        label = check_labels(label, len(x), self.num_classes)
        # The draw depends on seed and state alone, so that a resumed run repeats it.
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + int(self.calls))
        new_key = torch.randint(2**62, (len(x),), generator=generator).to(self.key)
        image = torch.as_tensor(image, device=self.source.device)
        image = image.expand(len(x)) if image.dim() == 0 else image
        image = check_int_vector("image", image, len(x), "one per node")
        self.calls += 1
        self._index = None
        for c in label.unique().tolist():
            is_class = label == c
            key, kept = torch.cat([self.key[c], new_key[is_class]]).topk(self.share)
            self.slots[c] = torch.cat([self.slots[c], x[is_class].to(self.slots)])[kept]
            self.source[c] = torch.cat([self.source[c], image[is_class]])[kept]
            self.key[c] = key

    def forget(self, image: Tensor) -> None:
        """Remove the nodes of images whose features are out of date.

        Nodes added next fill the free slots, so recent images have somewhat more nodes than in a
        uniform sample.

        Args:
            image: image numbers `(B,)`.

        Raises:
            ValueError: if these are no integers.
        """
        image = check_int_vector("image", image, image.numel(), "one per image")
        self.key[torch.isin(self.source, image.to(self.source))] = -1
        self._index = None

    def clear(self) -> None:
        """Remove all nodes."""
        self.key.fill_(-1)
        self._index = None

    def nearest(self, x: Tensor, k: int, image: Tensor | None = None) -> Neighbors:
        """Return the `k` nodes nearest to each query by squared distance, computed in float64.

        The index is built on the first call, and again after a change of the memory.

        Args:
            x: queries `(N, D)`.
            k: nodes per query.
            image: image number of each query `(N,)`; nodes of the same image are left out, so that
                labeled images can be treated like unlabeled ones.

        Returns:
            Indices into `x` and minus the squared distances, `(N, k)` each, the nearest first; -1
            and minus infinity for missing nodes.

        Raises:
            ValueError: if queries are no finite matrix of width D, `k` is below 1, or there is not
                one image number per query.
        """
        if self._index is None:
            self._index = NeighborIndex(to_float64(self.x), "l2", self.search)
        dtype = torch.promote_types(torch.promote_types(x.dtype, self.slots.dtype), torch.float32)
        if image is None:
            neighbors = self._index(x, k)
            return Neighbors(neighbors.indices, neighbors.similarity.to(dtype))
        indices = torch.full((len(x), k), -1, device=x.device)
        similarity = x.new_full((len(x), k), -torch.inf, dtype=dtype)
        image = check_int_vector("image", image, len(x), "one per node")
        for number in image.unique().tolist():
            of_image = image == number
            hidden = self.image == number if number >= 0 else None
            neighbors = self._index(x[of_image], k, hidden)
            indices[of_image] = neighbors.indices
            similarity[of_image] = neighbors.similarity.to(dtype)
        return Neighbors(indices, similarity)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._index = None  # nodes move to another device or precision
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: object) -> None:
        self._index = None
        super()._load_from_state_dict(*args)
