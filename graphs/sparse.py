"""Sums over neighbors by the optional packages torch-sparse and torch-scatter."""

import importlib
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.typing import SparseTensor


def import_extra(package: str, feature: str) -> ModuleType:
    """Import a package of the extra `sparse`.

    Args:
        package: `torch_sparse` or `torch_scatter`.
        feature: what needs the package, for the error.

    Returns:
        The package.

    Raises:
        ImportError: if it is not installed, or was built for another version of torch.
    """
    try:
        return importlib.import_module(package)
    except (ImportError, OSError) as error:  # OSError: a library built for another torch
        name = package.replace("_", "-")
        raise ImportError(
            f"{feature} needs {name}, built for torch {torch.__version__}: "
            "pip install --no-build-isolation 'pyg_mllc[sparse]'"
        ) from error


def to_sparse_tensor(
    edge_index: Tensor, edge_weight: Tensor, size: tuple[int, int], feature: str
) -> SparseTensor:
    """Build torch-sparse's form of an adjacency matrix.

    Args:
        edge_index: `(2, E)`, source then target.
        edge_weight: `(E,)`.
        size: numbers of targets and sources.
        feature: what needs torch-sparse, for the error.

    Returns:
        A `SparseTensor` whose rows are targets and whose columns are sources.

    Raises:
        ImportError: if torch-sparse is not installed.
    """
    source, target = edge_index
    torch_sparse = import_extra("torch_sparse", feature)
    return torch_sparse.SparseTensor(row=target, col=source, value=edge_weight, sparse_sizes=size)


def spmm_sum(edge_index: Tensor, edge_weight: Tensor, x: Tensor, num_targets: int) -> Tensor:
    """Sum weighted neighbors by torch-sparse's product of a sparse and a dense matrix.

    Args:
        edge_index: `(2, E)`, source then target.
        edge_weight: `(E,)`.
        x: values of the sources `(N, D)`.
        num_targets: M.

    Returns:
        `(M, D)`.

    Raises:
        ImportError: if torch-sparse is not installed.
    """
    size = num_targets, len(x)
    out: Tensor = to_sparse_tensor(edge_index, edge_weight, size, "backend='spmm'") @ x
    return out


def segment_sum(edge_index: Tensor, edge_weight: Tensor, x: Tensor, num_targets: int) -> Tensor:
    """Gather weighted neighbors, and sum them by torch-scatter's `segment_csr`.

    Args:
        edge_index: `(2, E)`, source then target, sorted by target.
        edge_weight: `(E,)`.
        x: values of the sources `(N, D)`.
        num_targets: M.

    Returns:
        `(M, D)`.

    Raises:
        ImportError: if torch-scatter is not installed.
    """
    torch_scatter = import_extra("torch_scatter", "backend='segment'")
    source, target = edge_index
    ptr = F.pad(torch.bincount(target, minlength=num_targets).cumsum(0), (1, 0))
    out: Tensor = torch_scatter.segment_csr(edge_weight[:, None] * x[source], ptr, reduce="sum")
    return out
