import re
from functools import partial

import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.methods import Instant
from pyg_mllc.nn import CorrectionMemory, GaussianEvidence, LabelCorrector, Segmenter
from pyg_mllc.typing import IGNORE
from tests.pyg_mllc.nn.test_evidence import ENCODER, pictures, right


class Labeled:
    """A labeled data set of pictures in memory."""

    def __init__(self, number=6):
        self.pairs = pictures(number)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        image, label = self.pairs[index]
        return {"image": (255 * image).round().byte(), "label": label, "name": str(index)}


def network(**options):
    return Segmenter(
        3, "test_resnet", decoder="linear", stride=4, frozen=True, init="evidence", **options
    )


def test_it_segments_after_no_step_at_all():
    method = Instant(network(), LabelCorrector(3, k=4))
    before = {name: value.clone() for name, value in method.student.state_dict().items()}
    method.prepare(Labeled())
    after = method.student.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"segmenter.class_head.weight", "segmenter.class_head.bias"}
    image, label = pictures(1, seed=1)[0]
    output = method.eval().student(image[None], method.memory)
    assert right(output.before.logits, label) > 0.85 and right(output.logits, label) > 0.85
    teacher = method.predict_teacher(image[None])
    assert torch.equal(teacher.logits, output.logits)


def rounds_told(caplog, labeled, **options):
    """The mIoU (%) before and after each round that `prepare` logs, and whether it advises."""
    torch.manual_seed(0)
    with caplog.at_level("INFO", "pyg_mllc"):
        Instant(network(), LabelCorrector(3, k=4, **options)).prepare(labeled)
    told = caplog.messages[-1]
    assert told.startswith("correction, whole labeled images by the other images: mIoU ")
    return [float(v) for v in re.findall(r"([0-9.]+)%", told)], "leave out correct=true" in told


def test_it_tells_what_rounds_do_to_labeled_images_each_by_the_others(caplog):
    miou, _ = rounds_told(caplog, Labeled(), rounds=3)
    assert len(miou) == 4 and miou[0] > 80
    miou, advised = rounds_told(caplog, Labeled(), levels="none", rounds=1)  # which changes nothing
    assert miou[0] == miou[1] and advised


def test_a_wrong_mask_has_no_part_in_how_its_own_image_is_measured(caplog):
    """An image of a mask that is all wrong is measured wrong: the others say something else."""
    (fine, *_), _ = rounds_told(caplog, Labeled())
    labeled = Labeled()
    image, label = labeled.pairs[0]
    labeled.pairs[0] = image, torch.where(label == IGNORE, label, (label + 1) % 3)
    (with_lie, *_), _ = rounds_told(caplog, labeled)
    assert with_lie < 0.85 * fine


def test_evidence_of_another_encoder_comes_on_top():
    evidence = partial(GaussianEvidence, encoder=ENCODER, weight=0.5)
    memory = partial(CorrectionMemory, evidence=evidence, class_thresholds="fixed")
    method = Instant(network(), LabelCorrector(3, k=4), memory=memory)
    method.prepare(Labeled())
    image, label = pictures(1, seed=1)[0]
    output = method.eval().student(image[None], method.memory)
    plain = method.student(image[None])
    assert right(output.logits, label) > 0.85
    assert not torch.allclose(output.logits, plain.logits, atol=0.1)


def test_without_correction_there_are_no_rounds():
    method = Instant(network(), correct=False)
    method.prepare(Labeled())
    assert not method.student(pictures(1)[0][0][None]).rounds


def test_what_cannot_be_instant_is_refused():
    with pytest.raises(InputError, match=r"trains nothing, so it needs model\.init=evidence"):
        Instant(Segmenter(3, "test_resnet"), LabelCorrector(3))
    with pytest.raises(
        InputError, match=r"model\.init=evidence: expected labeled images, got none"
    ):
        Instant(network(), LabelCorrector(3)).prepare(Labeled(0))
    with pytest.raises(InputError, match="needs a corrector with rounds"):
        evidence = partial(GaussianEvidence, encoder=ENCODER)
        CorrectionMemory(network(), LabelCorrector(3, rounds=0), evidence=evidence)
