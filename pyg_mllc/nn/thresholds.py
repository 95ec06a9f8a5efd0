"""Class thresholds: less confidence is asked of classes that are seldom predicted with it."""

import torch
from torch import Tensor, nn


def class_thresholds(class_counts: Tensor, threshold: float = 0.95) -> Tensor:
    r"""Scale the threshold by how often each class was predicted with confidence.

    .. math::
        \eta_c = \tau \, n_c / \max_{c'} n_{c'}

    Args:
        class_counts: `n (C,)`, pixels predicted as each class with confidence of at least tau.
        threshold: tau.

    Returns:
        `eta (C,)`; a class without any count gets 0: all its pixels are trusted, as published.

    >>> class_thresholds(torch.tensor([10.0, 5.0, 0.0]), 0.9)
    tensor([0.9000, 0.4500, 0.0000])
    """
    most = class_counts.max()
    return threshold * class_counts / torch.where(most > 0, most, 1)


class ClassThresholds(nn.Module):
    """The confident pixels of each class, counted over training; its state is in `state_dict`.

    Args:
        num_classes: C.
        threshold: tau, confidence from which a pixel counts.

    >>> thresholds = ClassThresholds(2, threshold=0.9)
    >>> thresholds.update(torch.tensor([[9.0, 0.0, 0.1], [0.0, 9.0, 0.0]]).view(1, 2, 1, 3))
    >>> thresholds.counts.tolist()
    [1, 1]
    """

    counts: Tensor

    def __init__(self, num_classes: int, threshold: float = 0.95) -> None:
        super().__init__()
        self.threshold = threshold
        # Whole numbers: float32 would stop counting at 2^24 pixels.
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.long))

    @torch.no_grad()
    def update(self, logits: Tensor) -> None:
        """Count the confident pixels of `logits (B, C, h, w)`."""
        confidence, label = logits.float().softmax(1).max(1)
        found = label[confidence >= self.threshold]
        self.counts += torch.bincount(found, minlength=len(self.counts))
