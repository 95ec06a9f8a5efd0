"""UniMatch: two strong views and one perturbed in its features, one source of labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mllc.losses import masked_cross_entropy, pseudo_label_weight
from pyg_mllc.methods.method import SemiSupervised
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Segmenter


class UniMatch(SemiSupervised):
    r"""Learn two strong views, and the weak one with half of its features dropped.

    .. math::
        \mathcal{L} = \tfrac12 \big( \mathcal{L}_{sup} + \lambda_u (
        \tfrac14 \mathcal{L}_{s1} + \tfrac14 \mathcal{L}_{s2} + \tfrac12 \mathcal{L}_{fp}) \big)

    each unlabeled term as FixMatch's (Yang et al., CVPR 2023, eq. 6).

    Args:
        segmenter: the network to train.
        corrector: corrects the labels if `correct`; not trained.
        weak: makes the weak views.
        strong: makes the strong views.
        correct: whether to correct the labels.
        lambda_u: weight of the unlabeled terms.
        threshold: tau.
        drop: share of the channels of each of the encoder's maps that the perturbation drops.
        total_steps: length of the training.
        warmup: share of the training that is supervised only.
        decay: of the teacher; the published form labels with the student as it is, thus 0.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        corrector: LabelCorrector | None = None,
        weak: nn.Module | None = None,
        strong: nn.Module | None = None,
        correct: bool = False,
        lambda_u: float = 1.0,
        threshold: float = 0.95,
        drop: float = 0.5,
        total_steps: int = 1000,
        warmup: float = 0.0,
        decay: float = 0.0,
    ) -> None:
        if not correct or corrector is None:
            corrector = LabelCorrector(segmenter.num_classes, rounds=0)
        student = CorrectedSegmenter(segmenter, corrector.requires_grad_(False))
        super().__init__(student, weak, strong, threshold, total_steps, warmup, decay)
        self.lambda_u, self.drop = lambda_u, drop

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the losses of one step, see `Method` for the batch."""
        image, label = self.weak(batch["image"], batch["label"])
        segmenter = self.student.segmenter
        if self.warming_up:
            loss = masked_cross_entropy(segmenter(image).logits, label)
            return {"loss": loss, "supervised": loss.detach()}
        guess = self.guess(batch["unlabeled"], batch["valid"])
        weight = pseudo_label_weight(guess.confidence, "hard", self.threshold)
        first, second = (self.strong(guess.view, guess.label, weight) for _ in range(2))
        stages = segmenter.encode(torch.cat([image, first[0], second[0], guess.view]))
        u = len(guess.view)
        clear = [stage[:-u] for stage in stages]
        dropped = [self._perturbed(stage[-u:]) for stage in stages]
        both = [torch.cat(pair) for pair in zip(clear, dropped, strict=True)]
        known, *rest = segmenter.decode(both).logits.split([len(image), u, u, u])
        supervised = masked_cross_entropy(known, label)
        targets = (first[1:], second[1:], (guess.label, weight))
        parts = [masked_cross_entropy(z, *t) for z, t in zip(rest, targets, strict=True)]
        unsupervised = parts[0] / 4 + parts[1] / 4 + parts[2] / 2
        return {
            "loss": (supervised + self.lambda_u * unsupervised) / 2,
            "supervised": supervised.detach(),
            "unsupervised": unsupervised.detach(),
            "trusted": self.trusted(guess),
        }

    def _perturbed(self, stage: Tensor) -> Tensor:
        """Drop whole channels of a map; a transformer's tokens stay."""
        return F.dropout2d(stage, self.drop) if stage.dim() == 4 else stage
