"""Samples of nodes, and the way back from them to all."""

from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphs.neighbors import nearest_neighbors
from graphs.propagate import propagate

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
            rows and columns, about `count` of them, no chance involved; `class`: balanced, as many
            of each label as there are, at most an equal share, the rest from the other labels;
            `uncertainty`: with a probability in proportion to it, those without any come last.
        label: `(N,)`, for `class`.
        uncertainty: `(N,)`, not negative, for `uncertainty`, e.g. one less the confidence.
        generator: source of the draw.

    Returns:
        Numbers of the chosen nodes `(S,)`, ascending. `batch.subgraph(chosen)` is their graph.

    Raises:
        ValueError: if `count` is below 1, the rule is unknown, or what it needs is missing.

    >>> from graphs.pixels import pixel_batch
    >>> sample_nodes(pixel_batch(torch.rand(2, 3, 8, 8)), 4, "grid").tolist()
    [18, 22, 50, 54, 82, 86, 114, 118]
    """
    if rule not in ("all", "uniform", "grid", "class", "uncertainty") or count < 1:
        raise ValueError(
            "expected rule 'all', 'uniform', 'grid', 'class' or 'uncertainty' and count >= 1, "
            f"got {rule!r} and {count}"
        )
    if rule == "all":
        return torch.arange(len(batch.batch), device=batch.batch.device)
    if rule == "grid":
        return _grid(batch, count)
    chance = torch.rand(len(batch.batch), generator=generator, device=batch.batch.device)
    if rule == "class":
        # The order of a node among those of its image and label: round after round, one of each.
        label = _one_per_node("label", label, batch)
        chance = _rank(chance, _groups(batch.batch, label)) + chance
    if rule == "uncertainty":
        # The smallest of exponential times with these rates: a draw without replacement.
        rate = _one_per_node("uncertainty", uncertainty, batch).clamp(min=1e-12)
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
        value: of the chosen nodes `(S, C)`; differentiable with respect to it.
        chosen: their numbers `(S,)`, ascending; they keep their own value.
        x: features of all nodes `(N, D)`.
        batch: image of each node `(N,)`, ascending.
        k: chosen nodes to average over.
        temperature: T; the smaller, the more the most similar one decides.

    Returns:
        `(N, C)`.

    Raises:
        ValueError: as `nearest_neighbors`, or if values and chosen nodes differ in number.
    """
    if len(value) != len(chosen):
        raise ValueError(f"expected one value per chosen node ({len(chosen)}), got {len(value)}")
    from_batch = None if batch is None else batch[chosen]
    found = nearest_neighbors(x[chosen], k, from_batch, query=x, query_batch=batch)
    weight = (found.similarity / temperature).softmax(1).nan_to_num(0)  # none found: no weight
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
    area = batch.map_size.prod(1)
    step = (area / count).sqrt().ceil().long().clamp(min=1)[batch.batch, None]
    return (batch.pos % step == step // 2).all(1).nonzero().flatten()


def _groups(*keys: Tensor) -> Tensor:
    """Number the combinations of keys."""
    return torch.stack(keys).unique(dim=1, return_inverse=True)[1]


def _rank(value: Tensor, group: Tensor) -> Tensor:
    """Place of each node among those of its group, the smallest value first."""
    order = value.argsort()
    order = order[group[order].argsort(stable=True)]
    size = torch.bincount(group)
    place = torch.arange(len(group), device=group.device) - (size.cumsum(0) - size)[group[order]]
    return torch.empty_like(place).index_copy_(0, order, place)
