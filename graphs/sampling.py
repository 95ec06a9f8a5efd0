"""Sampling of nodes, and interpolation from sampled nodes to all."""

from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphs.knn import nearest_neighbors
from graphs.propagate import propagate
from graphs.validation import check_int_vector, check_positive, describe

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
    """Sample nodes of each image.

    Args:
        batch: output of `pixel_batch`.
        count: nodes per image; smaller images contribute all their nodes.
        rule: one of:

            - `all`: all nodes, for any count.
            - `uniform`: each node with equal probability.
            - `grid`: evenly spaced rows and columns of whole maps, at most `count` nodes; not
              random.
            - `class`: balanced over the labels; labels with fewer nodes than an equal share
              contribute all, and others fill the rest.
            - `uncertainty`: with probability proportional to `uncertainty`; nodes of zero
              uncertainty come last.
        label: `(N,)`, for `class`.
        uncertainty: `(N,)`, not negative, for `uncertainty`, such as one minus the confidence.
        generator: random generator of the draw.

    Returns:
        Indices of the sampled nodes `(S,)`, ascending.

    Raises:
        ValueError: if `count` is below 1, the rule is unknown, or its input is missing.

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
        # Rank of a node among those of its image and label: each rank takes one of each label.
        label = check_int_vector("label", label, len(batch.batch), "one per node")
        chance = _rank(chance, _groups(batch.batch, label)) + chance
    if rule == "uncertainty":
        # The smallest of exponential times with these rates: a draw without replacement.
        rate = _one_per_node("uncertainty", uncertainty, batch)
        if not (rate >= 0).all() or rate.isinf().any():
            raise ValueError("expected uncertainty of 0 or more, finite, got other numbers")
        rate = rate.float().clamp(min=1e-30)
        chance = -chance.clamp(min=1e-12).log() / rate
    return (_rank(chance, batch.batch) < count).nonzero().flatten()


def knn_interpolate(
    value: Tensor,
    index: Tensor,
    x: Tensor,
    batch: Tensor | None = None,
    k: int = 4,
    temperature: float = 0.1,
) -> Tensor:
    r"""Interpolate values of sampled nodes to all nodes, by their most similar sampled nodes.

    .. math::
        v_i = \sum_{j \in \mathrm{top}_k(i)} w_{ij} v_j, \qquad
        w_{ij} \propto \exp(\cos(x_i, x_j) / T)

    Unlike `torch_geometric.nn.knn_interpolate`, which weights by inverse squared distances of
    positions, this compares features by their cosine with a softmax, and sampled nodes keep their
    own values.

    Args:
        value: values of the sampled nodes `(S, C)`, floating-point (one-hot for labels). The result
            is differentiable with respect to it.
        index: indices of the sampled nodes `(S,)`, ascending.
        x: features of all nodes `(N, D)`.
        batch: image of each node `(N,)`, ascending; a single image if None.
        k: sampled nodes to average over.
        temperature: T; a small one favors the most similar node.

    Returns:
        `(N, C)`.

    Raises:
        ValueError: if an input of `nearest_neighbors` is invalid, values and sampled nodes do not
            match, or an image has no sampled node.
    """
    check_positive(temperature=temperature)
    index = check_int_vector("index", index, len(value), "numbers of nodes")
    if value.dim() != 2 or not value.is_floating_point():
        raise ValueError(f"expected floating-point values (S, C), got {describe(value)}")
    if (index.diff() <= 0).any() or (len(index) and not 0 <= index[0] <= index[-1] < len(x)):
        raise ValueError(f"expected index to be ascending numbers of the {len(x)} nodes of x")
    sample_batch = None if batch is None else batch[index]
    neighbors = nearest_neighbors(x[index], k, sample_batch, query=x, query_batch=batch)
    if (neighbors.indices[:, 0] < 0).any():
        raise ValueError("expected a sampled node in each image, got an image without any")
    weight = (neighbors.similarity / temperature).softmax(1)
    target = torch.arange(len(x), device=x.device).repeat_interleave(k)
    edge_index = torch.stack([neighbors.indices.flatten().clamp(min=0), target])
    out = propagate(edge_index, weight.flatten(), value, num_targets=len(x))
    return out.index_copy(0, index, value.to(out.dtype))


def _one_per_node(name: str, value: Tensor | None, batch: Batch) -> Tensor:
    if value is None or value.shape != batch.batch.shape:
        shape = None if value is None else tuple(value.shape)
        raise ValueError(f"expected {name} ({len(batch.batch)},), one per node, got {shape}")
    return value


def _grid(batch: Batch, count: int) -> Tensor:
    """Return the center pixels of r x s equal cells, with r : s close to h : w, r s <= count."""
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
    """Return the number of each combination of keys."""
    number: Tensor = torch.stack(keys).unique(dim=1, return_inverse=True)[1]
    return number


def _rank(value: Tensor, group: Tensor) -> Tensor:
    """Return the rank of each node in its group, in ascending order of the values."""
    group = group.unique(return_inverse=True)[1]  # 0, 1, ...: image numbers may have gaps
    order = value.argsort()
    order = order[group[order].argsort(stable=True)]
    size = torch.bincount(group)
    place = torch.arange(len(group), device=group.device) - (size.cumsum(0) - size)[group[order]]
    return torch.empty_like(place).index_copy_(0, order, place)
