"""Class thresholds: lower ones for classes that are rarely predicted with confidence."""

import torch
from torch import Tensor, nn

from graphs.precision import at_least_float32
from pyg_mllc.utils.distributed import sum_over_processes


def class_thresholds(class_counts: Tensor, threshold: float = 0.95) -> Tensor:
    r"""Scale the threshold by how often each class was predicted with confidence.

    .. math::
        \eta_c = \tau \, n_c / \max_{c'} n_{c'}

    Args:
        class_counts: `n (C,)`, pixels predicted as each class with confidence of at least tau.
        threshold: tau.

    Returns:
        `eta (C,)`; a class without any count gets 0: all its pixels are trusted, as published.

    Raises:
        ValueError: if the counts are negative or not finite.

    >>> class_thresholds(torch.tensor([10.0, 5.0, 0.0]), 0.9)
    tensor([0.9000, 0.4500, 0.0000])
    """
    if not class_counts.isfinite().all() or (class_counts < 0).any():
        raise ValueError(f"expected counts of 0 or more, got {class_counts.tolist()}")
    most = class_counts.max()
    return threshold * class_counts / torch.where(most > 0, most, 1)


class ClassThresholds(nn.Module):
    r"""Count of the confident pixels of each class over training, summed over processes.

    .. math::
        n_c \leftarrow n_c + n_c^{new} \quad \text{or} \quad
        n_c \leftarrow \alpha n_c + (1 - \alpha) n_c^{new}

    The state is in `state_dict`, and the same in every process.

    Args:
        num_classes: C.
        threshold: tau, confidence from which a pixel counts.
        decay: alpha of a moving average, which forgets what an early network took for certain; by
            default everything counts, as published.

    Raises:
        ValueError: if `decay` is out of range.

    >>> thresholds = ClassThresholds(2, threshold=0.9)
    >>> thresholds.update(torch.tensor([[9.0, 0.0, 0.1], [0.0, 9.0, 0.0]]).view(1, 2, 1, 3))
    >>> thresholds.counts.tolist(), thresholds.eta
    ([1, 1], tensor([0.9000, 0.9000]))
    """

    counts: Tensor

    def __init__(
        self, num_classes: int, threshold: float = 0.95, decay: float | None = None
    ) -> None:
        super().__init__()
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"expected decay in [0, 1), got {decay}")
        self.threshold, self.decay = threshold, decay
        # Whole numbers: float32 would stop counting at 2^24 pixels.
        dtype = torch.long if decay is None else torch.float
        self.register_buffer("counts", torch.zeros(num_classes, dtype=dtype))

    @property
    def eta(self) -> Tensor:
        """Class thresholds `(C,)`, see `class_thresholds`."""
        return class_thresholds(self.counts, self.threshold)

    @torch.no_grad()
    def update(self, logits: Tensor, valid: Tensor | None = None) -> None:
        """Count the confident pixels of a batch; every process calls it.

        Args:
            logits: `(B, C, h, w)`.
            valid: `(B, h, w)` bool, pixels that may count; by default all.
        """
        confidence, label = at_least_float32(logits).softmax(1).max(1)
        sure = confidence >= self.threshold
        sure = sure if valid is None else sure & valid
        new = torch.bincount(label[sure], minlength=len(self.counts))
        new = sum_over_processes(new)
        if self.decay is None:
            self.counts += new
        else:
            self.counts.lerp_(new.to(self.counts), 1 - self.decay)
