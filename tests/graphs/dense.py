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


def class_level(logits, label, batch):
    """G, (N, N)."""
    p = logits.softmax(1)
    q = p / p.norm(dim=1, keepdim=True)
    agree = (label[:, None] == label) & (batch[:, None] == batch)
    return torch.where(agree, q @ q.T, 0.0)


def normalize(adjacency):
    scale = (adjacency.sum(1) + 1e-10) ** -0.5
    return torch.diag(scale) @ adjacency @ torch.diag(scale)
