from functools import partial

import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.nn import (
    CorrectedSegmenter,
    CorrectionContext,
    CorrectionMemory,
    FrozenFeatures,
    LabelCorrector,
    Prediction,
    Segmenter,
)

IMAGES = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None)


def network():
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16).eval()
    return CorrectedSegmenter(segmenter, LabelCorrector(3, k=4))


def made(of=None, **options):
    of = of or network()
    return CorrectionMemory(of.segmenter, of.corrector, **options)


def test_an_empty_memory_adds_nothing_to_correction():
    of = network()
    memory = made(of, class_thresholds="fixed", anchors=30)
    assert memory.context(IMAGES, of.segmenter(IMAGES), torch.arange(2)) == CorrectionContext()
    assert torch.equal(of(IMAGES, memory).logits, of(IMAGES).logits)


def test_anchors_of_an_image_are_of_its_own_pixels():
    memory = made(anchors=3000)
    features = torch.stack([torch.full((8, 6, 8), 1.0), torch.full((8, 6, 8), 2.0)])
    label = torch.zeros(2, 48, 64).long()
    label[1] = 1
    prediction = Prediction(torch.zeros(2, 3, 6, 8), features)
    memory.update(IMAGES, prediction, label, torch.tensor([5, 9]))
    anchors = memory.anchors
    assert (anchors.x[anchors.image == 5] == 1).all()
    assert (anchors.x[anchors.image == 9] == 2).all()
    assert anchors.label[anchors.image == 9].unique().tolist() == [1]


def test_the_frozen_encoder_decides_what_anchors_and_graphs_see():
    of = network()
    memory = made(of, encoder=FROZEN, anchors=60)
    prediction, label = of.segmenter(IMAGES), torch.randint(3, (2, 48, 64))
    memory.update(IMAGES, prediction, label, torch.arange(2))
    context = memory.context(IMAGES, prediction, torch.arange(2))
    expected = memory.encoder(IMAGES, (6, 8), prediction.features)
    assert torch.equal(context.graph_features, expected)
    assert memory.anchors.slots.size(-1) == memory.encoder.feature_dim
    given = memory.anchors.x.clone()
    memory.update(IMAGES, prediction, label, torch.arange(2), context.graph_features)
    assert memory.anchors.x.shape == given.shape


def test_anchors_that_wait_take_no_part_and_are_kept():
    of = network()
    memory = made(of, anchors=60)
    memory.active.fill_(False)
    prediction = of.segmenter(IMAGES)
    memory.update(IMAGES, prediction, torch.randint(3, (2, 48, 64)), torch.arange(2))
    waiting = memory.context(IMAGES, prediction, torch.arange(2))
    assert len(memory.anchors) == 60 and waiting.anchors is waiting.image is None
    again = made(of, anchors=60)
    again.load_state_dict(memory.state_dict())
    assert again.active_anchors is None
    again.active.fill_(True)
    assert len(again.context(IMAGES, prediction).anchors) == 60


def test_confident_pixels_count_where_labels_are_not_void():
    memory = made()
    memory.class_thresholds.threshold = 0.0
    label = torch.zeros(2, 48, 64).long()
    label[:, 24:] = 255
    memory.count(Prediction(torch.zeros(2, 3, 6, 8), torch.zeros(2, 8, 6, 8)), label)
    assert memory.class_counts.tolist() == [48, 0, 0]
    assert made(class_thresholds="fixed").class_counts is None


def test_anchors_need_the_numbers_of_images():
    of = network()
    with pytest.raises(InputError, match=r"needs index \(B,\)"):
        made(of, anchors=30).update(
            IMAGES, of.segmenter(IMAGES), torch.zeros(2, 48, 64, dtype=torch.long)
        )
