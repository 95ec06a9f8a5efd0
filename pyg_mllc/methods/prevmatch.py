"""PrevMatch: earlier states of the student teach beside the present one."""

from typing import Any

from torch import Tensor

from pyg_mllc.errors import InputError
from pyg_mllc.losses import masked_cross_entropy, pseudo_label_weight
from pyg_mllc.methods.semi_supervised import PseudoLabels, label_pixels
from pyg_mllc.methods.snapshots import Snapshots
from pyg_mllc.methods.unimatch import UniMatch
from pyg_mllc.nn import LabelCorrector, Segmenter


class PrevMatch(UniMatch):
    r"""UniMatch whose views also learn the labels of earlier states of the student.

    .. math::
        \mathcal{L} = \frac{1}{2 + \lambda} \big( \mathcal{L}_{sup} +
        \lambda_u (\mathcal{L}_{uni} + \lambda\, \mathcal{L}_{prev}) \big), \qquad
        \lambda = 1 - |2t/T - 1|

    at step t of T (Shin et al., 2024). Both unlabeled terms are UniMatch's, the second one with
    labels of `Snapshots`, which no corrector changes. The term, and its weight, begin with the
    first snapshot. A snapshot is taken at fixed intervals; the published ones follow an epoch with
    a better validation.

    Memory: the snapshots are full copies of the segmenter, on the device and in checkpoints.

    Args:
        segmenter: the network to train.
        corrector: corrects the labels of the present student if `correct`; not trained.
        snapshots: number of snapshots that are kept.
        snapshot_interval: share of the training from one snapshot to the next.
        ensemble: K, largest number of snapshots that label a batch together.
        previous_threshold: confidence from which a label of snapshots teaches.
        total_steps: T, length of the training.
        **options: as `UniMatch`.

    Raises:
        InputError: as `UniMatch`, or if an option of the snapshots is out of range.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        snapshots: int = 8,
        snapshot_interval: float = 0.05,
        ensemble: int = 3,
        previous_threshold: float = 0.9,
        total_steps: int = 1000,
        **options: Any,
    ) -> None:
        if snapshots < 1:
            raise InputError(f"expected method.snapshots of 1 or more, got {snapshots}")
        if not 0 < snapshot_interval < 1:
            raise InputError(
                f"expected method.snapshot_interval in (0, 1), got {snapshot_interval}"
            )
        if ensemble < 1:
            raise InputError(f"expected method.ensemble of 1 or more, got {ensemble}")
        if not 0 <= previous_threshold <= 1:
            raise InputError(
                f"expected method.previous_threshold in [0, 1], got {previous_threshold}"
            )
        super().__init__(segmenter, corrector, total_steps=total_steps, **options)
        self.snapshots = Snapshots(segmenter, snapshots)
        self.snapshot_steps = max(round(snapshot_interval * total_steps), 1)
        self.ensemble, self.previous_threshold = ensemble, previous_threshold
        self.total_steps = total_steps

    @property
    def previous_weight(self) -> float:
        """Lambda, the weight of the snapshots' labels; 0 while there are none."""
        if self.in_warmup or not int(self.snapshots.taken):
            return 0.0
        return max(1 - abs(2 * int(self.step) / self.total_steps - 1), 0.0)

    @property
    def share(self) -> float:
        """Factor of the sum of the losses, as published."""
        return 1 / (2 + self.previous_weight)

    def update(self) -> None:
        """Move the teacher towards the student, and keep a snapshot of it when one is due."""
        super().update()
        if int(self.step) % self.snapshot_steps == 0:
            self.snapshots.add(self.student.segmenter)

    def targets(self, pseudo: PseudoLabels) -> tuple[Tensor, ...]:
        """Return what weak views teach, labels of snapshots included.

        Args:
            pseudo: see `UniMatch.targets`.

        Returns:
            Maps `(U, H, W)`, the arguments of `view_loss`.
        """
        targets = super().targets(pseudo)
        if not self.previous_weight:
            return targets
        logits = self.snapshots(pseudo.view, self.ensemble)
        label, probabilities = label_pixels(logits, known=pseudo.label)
        confidence = probabilities.amax(1)
        return *targets, label, pseudo_label_weight(confidence, "hard", self.previous_threshold)

    def view_loss(self, logits: Tensor, label: Tensor, weight: Tensor, *more: Tensor) -> Tensor:
        """Compute the loss of a view.

        Args:
            logits: see `UniMatch.view_loss`.
            label: see `UniMatch.view_loss`.
            weight: see `UniMatch.view_loss`.
            *more: label and weight of snapshots, if there are.

        Returns:
            A scalar.
        """
        loss = super().view_loss(logits, label, weight)
        if more:
            loss = loss + self.previous_weight * masked_cross_entropy(logits, *more)
        return loss
