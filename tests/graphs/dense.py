"""The two graphs in dense form, straight from the formulas: the oracle of the tests."""

import torch
import torch.nn.functional as F


def semantic(x, k, batch):
    """A = S + S^T with loops over pairs, (N, N)."""
    unit = F.normalize(x, dim=1)
    s = torch.zeros(len(x), len(x), dtype=x.dtype)
    for i in range(len(x)):
        others = [j for j in range(len(x)) if batch[j] == batch[i] and j != i]
        cosine = {j: float(unit[i] @ unit[j]) for j in others}
        for j in sorted(others, key=lambda j: -cosine[j])[:k]:
            s[i, j] = max(0.0, cosine[j])
        s[i, i] = 1
    return s + s.T


def tapered(similarity, k):
    """Weights of all nodes by their similarity to one, falling to zero at the first left out."""
    ranked = sorted(similarity.tolist(), reverse=True)
    last = k + (k + 1) // 2
    if len(ranked) <= last:
        return torch.ones_like(similarity)
    full, none = ranked[k // 2], ranked[last]
    return ((similarity - none + 1e-9) / (full - none + 1e-9)).clamp(0, 1)


def smooth_semantic(maps, k, pos):
    """A = S + S^T of one image: the mean cosine of several features, tapered, (N, N)."""
    units = [F.normalize(m, dim=1) for m in maps]
    s = sum(u @ u.T for u in units) / len(maps)
    s = s - 0.003**2 * torch.cdist(pos, pos).square() / (2 * len(maps))
    out = torch.eye(len(s), dtype=s.dtype)
    for i in range(len(s)):
        others = [j for j in range(len(s)) if j != i]
        out[i, others] = s[i, others].clamp(min=0) * tapered(2 * len(maps) * s[i, others], k)
    return out + out.T


def class_level(logits, label, batch):
    """G, (N, N)."""
    p = logits.softmax(1)
    q = p / p.norm(dim=1, keepdim=True)
    agree = (label[:, None] == label) & (batch[:, None] == batch)
    return torch.where(agree, q @ q.T, 0.0)


def normalize(adjacency):
    scale = (adjacency.sum(1) + 1e-10) ** -0.5
    return torch.diag(scale) @ adjacency @ torch.diag(scale)
