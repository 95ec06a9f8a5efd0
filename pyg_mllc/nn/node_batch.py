"""Conversion of logits and features between maps and nodes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor
from torch_geometric.data import Batch

from graphs import batch_to_maps, maps_to_nodes, nodes_to_maps, pixel_batch
from graphs.maps import Maps, pixel_positions
from pyg_mllc.nn.prediction import Prediction


class Nodes(NamedTuple):
    """Logits and features as nodes of one graph, for correction."""

    original: Prediction  # in the form of the input
    z: Tensor  # (N, C), logits
    f: Tensor  # (N, D), features
    graph_features: Tensor | None  # (N, D'), that nodes are compared by, if not by f
    evidence: Tensor | None  # (N, C), to add to the logits
    batch: Tensor  # (N,), image of each node
    pos: Tensor | None  # (N, 2), row and column of each node, where nodes are pixels
    num_images: int
    restore: Callable[[Tensor], Tensor]  # node values in the form of the input


def pixel_nodes(
    logits: Maps | Batch,
    features: Maps | None,
    graph_features: Maps | None = None,
    evidence: Maps | None = None,
) -> Nodes:
    """Convert logits and features to nodes, one per pixel.

    Args:
        logits: `(B, C, h, w)`; B maps `(C, h_i, w_i)` of different sizes; or a `Batch` with node
            values `logits (N, C)` and `x (N, D)`.
        features: `(B, D, h, w)`, or B maps; not with a `Batch`.
        graph_features: `(B, D', h, w)`, or B maps, or `(N, D')` with a `Batch`.
        evidence: `(B, C, h, w)`, or B maps, or `(N, C)` with a `Batch`.

    Returns:
        Nodes of one graph for all images.

    Raises:
        ValueError: if forms or sizes do not fit each other.
    """
    if isinstance(logits, Batch):
        if features is not None:
            raise ValueError("expected no features beside a Batch, which carries its own as x")
        more = {"graph_features": graph_features, "evidence": evidence}
        return _graph_nodes(logits, **cast(dict[str, Tensor | None], more))
    if features is None:
        raise ValueError("expected features beside logits, got none")
    original = Prediction(cast(Tensor, logits), cast(Tensor, features))
    if not isinstance(logits, Tensor):
        maps = {"graph_features": graph_features, "evidence": evidence}
        pixels = pixel_batch(
            features, logits=logits, **{key: m for key, m in maps.items() if m is not None}
        )
        restore = cast(Callable[[Tensor], Tensor], partial(batch_to_maps, batch=pixels))
        nodes = _graph_nodes(pixels, pixels.get("graph_features"), pixels.get("evidence"))
        return nodes._replace(original=original, restore=restore)
    f, batch = maps_to_nodes(_fitting(features, "features", logits))
    compared = added = None
    if graph_features is not None:
        compared, _ = maps_to_nodes(_fitting(graph_features, "graph_features", logits))
    if evidence is not None:
        added, _ = maps_to_nodes(_fitting(evidence, "evidence", logits))
    height, width = logits.shape[-2:]
    pos = pixel_positions(height, width, logits.device).repeat(len(logits), 1)
    restore = partial(nodes_to_maps, height=height, width=width)
    z = maps_to_nodes(logits)[0]
    return Nodes(original, z, f, compared, added, batch, pos, len(logits), restore)


def _graph_nodes(batch: Batch, graph_features: Tensor | None, evidence: Tensor | None) -> Nodes:
    """Return the nodes of a PyG batch."""
    if "logits" not in batch or "x" not in batch:
        raise ValueError(
            f"expected a Batch with node values logits (N, C) and x (N, D), got {batch}"
        )
    z, f = batch.logits, batch.x
    # Only of `pixel_batch` are positions known to be rows and columns.
    pos = batch.pos if "map_size" in batch else None
    original, images = Prediction(z, f), batch.num_graphs
    own = batch.batch, pos, images, lambda value: value
    return Nodes(original, z, f, graph_features, evidence, *own)


def _fitting(maps: Maps, name: str, logits: Tensor) -> Tensor:
    if not isinstance(maps, Tensor) or logits.dim() != 4 or maps.dim() != 4:
        form = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(
            f"expected logits (B, C, h, w) and {name} (B, D, h, w), "
            f"got {tuple(logits.shape)} and {form}"
        )
    if (len(logits), *logits.shape[-2:]) != (len(maps), *maps.shape[-2:]):
        raise ValueError(
            f"expected logits and {name} of the same images and size, got "
            f"{tuple(logits.shape)} and {tuple(maps.shape)}; resize one to the other"
        )
    return maps
