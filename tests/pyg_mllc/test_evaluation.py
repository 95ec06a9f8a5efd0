import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from pyg_mllc.data import textures
from pyg_mllc.evaluation import correction_examples, iou, sliding_window
from pyg_mllc.losses import upsample
from pyg_mllc.methods import MLLC
from pyg_mllc.nn import LabelCorrector, Segmenter


def test_iou_is_torchmetrics_jaccard_index_and_nan_for_absent_classes():
    label, guess = torch.randint(3, (500,)), torch.randint(3, (500,))
    confusion = torch.zeros(4, 4).long().index_put_((label, guess), torch.tensor(1), True)
    expected = MulticlassJaccardIndex(4, average="none")(guess, label)
    assert iou(confusion)[:3].tolist() == pytest.approx(expected[:3].tolist())
    assert iou(confusion)[3].isnan()


def test_examples_span_the_split_and_show_what_correction_did():
    splits = textures(labeled=1, unlabeled=1, val=5, size=(32, 48))
    segmenter = Segmenter(10, "test_resnet", feature_dim=8, width=16)
    method = MLLC(segmenter, LabelCorrector(10, feature_dim=8, k=4))
    examples = correction_examples(method, splits, count=3)
    assert [e.name for e in examples] == [splits.val[i]["name"] for i in (0, 2, 4)]
    for e in examples:
        assert e.before.shape == e.after.shape == e.truth.shape == (32, 48)
        image = e.image[None] / 255
        first, *_, last = method.teach(image)
        assert torch.equal(e.before, upsample(first.logits, (32, 48))[0].argmax(0))
        assert torch.equal(e.after, upsample(last.logits, (32, 48))[0].softmax(0).argmax(0))
        assert 0 <= e.confidence.min() and e.confidence.max() <= 1


@pytest.mark.parametrize("size", [(40, 33), (16, 90), (10, 10)])
def test_windows_cover_all_of_an_image_and_agree_with_the_whole(size):
    image = torch.rand(2, 3, *size)
    views = []

    def predict(view):
        views.append(tuple(view.shape[-2:]))
        return view[:, :2] - 1

    out = sliding_window(predict, image, (16, 24))
    assert torch.allclose(out, image[:, :2] - 1, atol=1e-6)
    assert set(views) == {(min(16, size[0]), min(24, size[1]))}
