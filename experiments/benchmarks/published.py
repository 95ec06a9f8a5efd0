"""Both graphs in dense form, from the formulas: the reference of the sparse form."""

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-10


def dense_as_published(z: Tensor, f: Tensor, label: Tensor, k: int = 20) -> tuple[Tensor, Tensor]:
    """Build both graphs as published: N x N matrices, full sorts, diagonal matrices.

    Args:
        z: logits `(N, C)`.
        f: features `(N, D)`.
        label: `(N,)`.
        k: neighbors besides the pixel itself.

    Returns:
        The propagated logits `(N, C)` and features `(N, D)`.
    """
    return semantic_as_published(f, k) @ z, class_level_as_published(z, label) @ f


@torch.no_grad()
def semantic_as_published(f: Tensor, k: int = 20) -> Tensor:
    """Build the normalized semantic-level graph `(N, N)`."""
    unit = f / f.norm(dim=1, keepdim=True)
    cosine = (unit @ unit.T).clamp(min=0)
    least = cosine.sort(dim=1, descending=True).values[:, k : k + 1]
    s = torch.where(cosine >= least, cosine, 0)
    return _normalized(s + s.T)


@torch.no_grad()
def class_level_as_published(z: Tensor, label: Tensor) -> Tensor:
    """Build the normalized class-level graph `(N, N)`."""
    q = z.softmax(1)
    q = q / q.norm(dim=1, keepdim=True)
    return _normalized((q @ q.T) * (label[:, None] == label))


def _normalized(a: Tensor) -> Tensor:
    scale = torch.diag((a.sum(1) + EPS) ** -0.5)
    return scale @ a @ scale


def dense_tuned(z: Tensor, f: Tensor, label: Tensor, k: int = 20) -> tuple[Tensor, Tensor]:
    """Build the same N x N matrices in two buffers, tuned for speed and memory."""
    unit = F.normalize(f)
    s = unit @ unit.T
    value, index = s.topk(k + 1, dim=1)
    value.clamp_(min=0)
    s.zero_().scatter_add_(1, index, value)
    # S + S^T in place: the entries of S^T one by one, for they are few.
    row = torch.arange(len(f))[:, None].expand_as(index)
    s.view(-1).index_add_(0, (index * len(f) + row).flatten(), value.flatten())
    scale = (s.sum(1, keepdim=True) + EPS).rsqrt()
    z_out = scale * (s @ (scale * z))
    q = F.normalize(z.softmax(1))
    g = torch.mm(q, q.T, out=s).mul_(label[:, None] == label)
    scale = (g.sum(1, keepdim=True) + EPS).rsqrt()
    return z_out, scale * (g @ (scale * f))
