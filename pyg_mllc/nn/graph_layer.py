"""Any layer of PyTorch Geometric behind one interface."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import cache, partial
from typing import Any, cast

import torch
from torch import Tensor, nn

with warnings.catch_warnings():  # see graphs/__init__.py
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
    import torch_geometric.nn.conv

Layer = str | Mapping[str, object] | Callable[..., nn.Module]
"""Name of a layer in `torch_geometric.nn`, by itself or with options as in `{"name": "GATv2Conv",
"heads": 4, "concat": False}`; a class, or a factory such as `functools.partial`."""

# The base class is no layer, and if it ran, PyG would keep what it makes of it for all subclasses.
LAYERS = sorted(set(torch_geometric.nn.conv.__all__) - {"MessagePassing"})

# What layers need beyond their numbers of channels, and no default of PyG's gives.
NEEDED: dict[str, dict[str, Any]] = {
    "APPNP": {"K": 2, "alpha": 0.1},
    "CGConv": {"dim": 1},
    "ChebConv": {"K": 2},
    "EGConv": {"num_heads": 1},
    "GMMConv": {"dim": 1, "kernel_size": 2},
    "GatedGraphConv": {"num_layers": 2},
    "SSGConv": {"alpha": 0.1},
}


class GraphLayer(nn.Module):
    """PyG layer that keeps the number of channels, with edge weights in the form that it takes.

    Args:
        conv: name of a layer in `torch_geometric.nn`, by itself or with options as in
            `{"name": "GATv2Conv", "heads": 4, "concat": False}`; a class, or a factory: what it
            asks for of `in_channels`, `out_channels`, `channels`, `hidden_channels`, `edge_dim`,
            `in_edge_channels` and `nn` (GIN's network) it is given by keyword.
        channels: of the nodes, before and after.

    Raises:
        ValueError: if there is no such layer, or it cannot serve: the message says why.

    >>> layer = GraphLayer("GATv2Conv", channels=3)
    >>> edge_index = torch.tensor([[0, 1, 1], [1, 0, 1]])
    >>> layer(torch.randn(2, 3), edge_index, torch.ones(3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, conv: Layer, channels: int) -> None:
        super().__init__()
        name, factory = _resolve(conv)
        try:
            self.conv = factory(**_arguments(name, factory, channels))
        except (TypeError, ValueError, ImportError) as error:
            raise ValueError(
                f"{name} cannot be made so: {error}; {{name: {name}, option: value}} gives "
                f"options, in Python functools.partial({name}, ...) as well"
            ) from error
        takes = inspect.signature(self.conv.forward).parameters
        self.weight_name = next((n for n in ("edge_weight", "edge_attr") if n in takes), None)
        self._check(name, list(takes.values()), channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Pass messages between nodes.

        Args:
            x: `(N, D)`.
            edge_index: `(2, E)`, source then target.
            edge_weight: `(E,)`; layers with `edge_attr` get it as `(E, 1)`, those without either
                do without.

        Returns:
            `(N, D)`.
        """
        options = {}
        if self.weight_name is not None:
            as_column = self.weight_name == "edge_attr"
            options[self.weight_name] = edge_weight[:, None] if as_column else edge_weight
        out: Tensor = self.conv(x, edge_index, **options)
        return out

    @torch.no_grad()
    def _check(self, name: str, takes: list[inspect.Parameter], channels: int) -> None:
        """Try a layer on three nodes, to raise an error before any training if it does not fit."""
        needs = [
            p.name for p in takes if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        if needs[:2] != ["x", "edge_index"] and len(takes) > 1 and takes[0].name != "args":
            raise ValueError(f"{name} works on {needs}, not on nodes x and edge_index")
        unknown = [n for n in needs[2:] if n != self.weight_name]
        if unknown:
            raise ValueError(
                f"{name} needs {', '.join(unknown)} at each call, which the graphs do not give"
            )
        if getattr(self.conv, "cached", False):
            raise ValueError(f"{name} has cached=True, but each call brings a graph of its own")
        edge_index = torch.tensor([[0, 1, 1, 2, 0, 1, 2], [1, 0, 2, 1, 0, 1, 2]])
        mode = self.conv.training
        self.conv.eval()
        try:
            with torch.random.fork_rng(devices=[]):
                out = self(torch.rand(3, channels), edge_index, torch.rand(7))
        except Exception as error:
            raise ValueError(
                f"{name} fails on three nodes of {channels} channels: "
                f"{str(error) or type(error).__name__}"
            ) from error
        self.conv.train(mode)
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        if shape != (3, channels):
            raise ValueError(
                f"{name} gives {shape} for 3 nodes, expected (3, {channels}); "
                "with several heads, set concat=False"
            )


@cache
def fitting_layers() -> tuple[str, ...]:
    """Find the layers of PyG that work without options, by trying each.

    Returns:
        Their names.
    """
    names = []
    for name in LAYERS:
        with suppress(ValueError):
            GraphLayer(name, channels=4)
            names.append(name)
    return tuple(names)


def _resolve(conv: Layer) -> tuple[str, Callable[..., nn.Module]]:
    if isinstance(conv, nn.Module):
        raise ValueError(f"expected {type(conv).__name__} as a class or a factory, got one made")
    if isinstance(conv, Mapping):
        if "name" not in conv:
            raise ValueError(f"expected {{name: GATv2Conv, option: value}}, got {dict(conv)}")
        name, factory = _resolve(cast(Layer, conv["name"]))
        return name, partial(factory, **{k: v for k, v in conv.items() if k != "name"})
    if not isinstance(conv, str):
        function = getattr(conv, "func", conv)  # of functools.partial
        if function is torch_geometric.nn.conv.MessagePassing:
            raise ValueError("MessagePassing itself is no layer: expected a class derived from it")
        return getattr(function, "__name__", type(conv).__name__), conv
    if conv not in LAYERS:
        near = get_close_matches(conv, LAYERS, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise ValueError(
            f"{conv!r} is not a layer; {hint}Choices: affinity, {', '.join(fitting_layers())}, "
            "and with options others of torch_geometric.nn.conv"
        )
    return conv, getattr(torch_geometric.nn.conv, conv)


def _arguments(name: str, factory: Callable[..., nn.Module], channels: int) -> dict[str, Any]:
    """Return what a factory needs, by keyword: positions mean different things in some layers."""
    arguments: dict[str, Any] = {
        "in_channels": channels,
        "out_channels": channels,
        "channels": channels,
        "hidden_channels": channels,
        "edge_dim": 1,
        "in_edge_channels": 1,
    }
    asked = inspect.signature(factory).parameters
    set_before = getattr(factory, "keywords", {})
    arguments |= NEEDED.get(name, {})
    if "nn" in asked and asked["nn"].default is inspect.Parameter.empty:
        arguments["nn"] = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
    return {key: arguments[key] for key in arguments if key in asked and key not in set_before}
