"""Samples of nodes, and the way back from them to all."""

from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphs.knn.neighbors import nearest_neighbors
from graphs.propagate import propagate
from graphs.validation import check_numbers, check_positive, describe

Rule = Literal["all", "uniform", "grid", "class", "uncertainty"]


@torch.no_grad()
def sample_nodes(
    batch: Batch,
    count: int,
    rule: Rule = "uniform",
    *,
    label: Tensor | None = None,
    uncertainty: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose nodes of each image.

    Args:
        batch: graphs, see `pixel_batch`.
        count: nodes per image; an image with fewer gives all.
        rule: `all` whatever the count; `uniform`: each node equally likely; `grid`: evenly spaced
            rows and columns of whole maps, at most `count` nodes, no chance involved; `class`:
            balanced, as many of each label as there are, at most an equal share, the rest from the
            other labels; `uncertainty`: with a probability in proportion to it, those without any
            come last.
        label: `(N,)`, for `class`.
        uncertainty: `(N,)`, not negative, for `uncertainty`, e.g. one less the confidence.
        generator: source of the draw.

    Returns:
        Numbers of the chosen nodes `(S,)`, ascending. `batch.x[chosen]`,
        `batch.batch[chosen]` and so on are their values.

    Raises:
        ValueError: if `count` is below 1, the rule is unknown, or what it needs is missing.

    >>> from graphs.maps import pixel_batch
    >>> sample_nodes(pixel_batch(torch.rand(2, 3, 8, 8)), 4, "grid").tolist()
    [18, 22, 50, 54, 82, 86, 114, 118]
    """
    if rule not in ("all", "uniform", "grid", "class", "uncertainty"):
        raise ValueError(
            f"expected rule 'all', 'uniform', 'grid', 'class' or 'uncertainty', got {rule!r}"
        )
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"expected count to be a whole number >= 1, got {count!r}")
    if rule == "all":
        return torch.arange(len(batch.batch), device=batch.batch.device)
    if rule == "grid":
        return _grid(batch, count)
    chance = torch.rand(len(batch.batch), generator=generator, device=batch.batch.device)
    if rule == "class":
        # The order of a node among those of its image and label: round after round, one of each.
        label = check_numbers("label", label, len(batch.batch), "one per node")
        chance = _rank(chance, _groups(batch.batch, label)) + chance
    if rule == "uncertainty":
        # The smallest of exponential times with these rates: a draw without replacement.
        rate = _one_per_node("uncertainty", uncertainty, batch)
        if not (rate >= 0).all() or rate.isinf().any():
            raise ValueError("expected uncertainty of 0 or more, finite, got other numbers")
        rate = rate.float().clamp(min=1e-30)
        chance = -chance.clamp(min=1e-12).log() / rate
    return (_rank(chance, batch.batch) < count).nonzero().flatten()


def spread_sample(
    value: Tensor,
    chosen: Tensor,
    x: Tensor,
    batch: Tensor | None = None,
    k: int = 4,
    temperature: float = 0.1,
) -> Tensor:
    r"""Give every node the mean value of the chosen nodes that look most like it.

    .. math::
        v_i = \sum_{j \in \mathrm{top}_k(i)} w_{ij} v_j, \qquad
        w_{ij} \propto \exp(\cos(x_i, x_j) / T)

    Args:
        value: of the chosen nodes `(S, C)`, floating-point (one-hot for labels); differentiable
            with respect to it.
        chosen: their numbers `(S,)`, ascending; they keep their own value.
        x: features of all nodes `(N, D)`.
        batch: image of each node `(N,)`, ascending.
        k: chosen nodes to average over.
        temperature: T; the smaller, the more the most similar one decides.

    Returns:
        `(N, C)`.

    Raises:
        ValueError: as `nearest_neighbors`; if values and chosen nodes differ in number or are of
            the wrong kind; or if an image has no chosen node.
    """
    check_positive(temperature=temperature)
    chosen = check_numbers("chosen", chosen, len(value), "numbers of nodes")
    if value.dim() != 2 or not value.is_floating_point():
        raise ValueError(f"expected floating-point values (S, C), got {describe(value)}")
    if (chosen.diff() <= 0).any() or (len(chosen) and not 0 <= chosen[0] <= chosen[-1] < len(x)):
        raise ValueError(f"expected chosen to be ascending numbers of the {len(x)} nodes of x")
    from_batch = None if batch is None else batch[chosen]
    found = nearest_neighbors(x[chosen], k, from_batch, query=x, query_batch=batch)
    if (found.indices[:, 0] < 0).any():
        raise ValueError("expected a chosen node in each image, got an image without any")
    weight = (found.similarity / temperature).softmax(1)
    target = torch.arange(len(x), device=x.device).repeat_interleave(k)
    edge_index = torch.stack([found.indices.flatten().clamp(min=0), target])
    spread = propagate(edge_index, weight.flatten(), value, num_targets=len(x))
    return spread.index_copy(0, chosen, value.to(spread.dtype))


def _one_per_node(name: str, value: Tensor | None, batch: Batch) -> Tensor:
    if value is None or value.shape != batch.batch.shape:
        given = None if value is None else tuple(value.shape)
        raise ValueError(f"expected {name} ({len(batch.batch)},), one per node, got {given}")
    return value


def _grid(batch: Batch, count: int) -> Tensor:
    """The pixels in the middle of r x s equal cells, r : s about as h : w, r s <= count."""
    if len(batch.batch) != int(batch.map_size.prod(1).sum()):
        raise ValueError("expected whole maps for rule='grid', got a sample of their nodes")
    chosen = []
    for (height, width), start in zip(batch.map_size.tolist(), batch.ptr.tolist(), strict=False):
        rows = min(height, count, max(1, round((count * height / width) ** 0.5)))
        columns = min(width, max(1, count // rows))
        row = (2 * torch.arange(rows) + 1) * height // (2 * rows)
        column = (2 * torch.arange(columns) + 1) * width // (2 * columns)
        chosen.append(start + (row[:, None] * width + column).flatten())
    return torch.cat(chosen).to(batch.batch.device)


def _groups(*keys: Tensor) -> Tensor:
    """Number the combinations of keys."""
    return torch.stack(keys).unique(dim=1, return_inverse=True)[1]


def _rank(value: Tensor, group: Tensor) -> Tensor:
    """Place of each node among those of its group, the smallest value first."""
    group = group.unique(return_inverse=True)[1]  # 0, 1, ...: numbers of images may be any
    order = value.argsort()
    order = order[group[order].argsort(stable=True)]
    size = torch.bincount(group)
    place = torch.arange(len(group), device=group.device) - (size.cumsum(0) - size)[group[order]]
    return torch.empty_like(place).index_copy_(0, order, place)
