import csv

import pytest
import torch

from pyg_mllc.data import textures
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation import iou
from pyg_mllc.losses import upsample
from pyg_mllc.methods import MLLC, Supervised
from pyg_mllc.nn import LabelCorrector, Segmenter
from pyg_mllc.training import TrainerSettings, train

SETTINGS = TrainerSettings(
    max_steps=6, batch_size=2, unlabeled_batch_size=2, val_every=4, log_every=2, accelerator="cpu",
    progress=False,
)  # fmt: skip


def run(method, out, unlabeled=3, seed=0):
    torch.manual_seed(seed)
    segmenter = Segmenter(10, "test_resnet", feature_dim=8, width=16)
    options = {"total_steps": 6, "warmup": 0.2, "contrast_from": 0.0} if method is MLLC else {}
    model = method(segmenter, LabelCorrector(10, feature_dim=8, k=4), **options)
    splits = textures(labeled=2, unlabeled=unlabeled, val=3, size=(32, 48))
    return model, splits, train(model, splits, SETTINGS, seed, out, "run")


@pytest.mark.parametrize("method, rounds", [(Supervised, 0), (MLLC, 2)])
def test_trains_validates_and_keeps_log_and_checkpoint(method, rounds, tmp_path):
    model, _, result = run(method, tmp_path)
    assert [step for step, _ in result.curve("loss")] == [1, 3, 5]
    assert [step for step, _ in result.curve("miou")] == [4, 6]
    assert len(result.label_accuracy) == len(result.label_miou) == rounds + 1
    with open(tmp_path / "metrics.csv") as file:
        assert {"loss", "miou", "step"} <= set(next(csv.reader(file)))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in model.state_dict().items():
        assert torch.equal(saved[f"method.{name}"], value), name


def test_reported_figures_are_those_of_the_trained_network_over_the_split(tmp_path):
    model, splits, result = run(MLLC, tmp_path)
    model.eval()
    student, corrected = torch.zeros(10, 10), torch.zeros(10, 10)
    with torch.no_grad():
        for i in range(len(splits.val)):
            sample = splits.val[i]
            image, label = sample["image"][None] / 255, sample["label"].flatten()
            beliefs = model.student(image)[0], model.teach(image)[-1]
            for confusion, belief in zip((student, corrected), beliefs, strict=True):
                guess = upsample(belief.logits, sample["label"].shape).argmax(1).flatten()
                confusion.index_put_((label, guess), torch.tensor(1.0), True)
    assert result.last_miou == pytest.approx(float(iou(student).nanmean()), abs=1e-3)
    accuracy = float(corrected.diag().sum() / corrected.sum())
    assert result.label_accuracy[-1] == pytest.approx(accuracy, abs=2e-3)


def test_a_seed_repeats_a_run(tmp_path):
    one, _, _ = run(MLLC, tmp_path / "a", seed=1)
    other, _, _ = run(MLLC, tmp_path / "b", seed=1)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_mllc_without_unlabeled_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs unlabeled images: lower data"):
        run(MLLC, tmp_path, unlabeled=0)


def test_lengths_below_one_are_refused():
    with pytest.raises(InputError, match=r"trainer\.max_steps=0 must be 1 or more"):
        TrainerSettings(max_steps=0)


def test_the_corrector_stays_near_the_identity_while_it_learns(tmp_path):
    model, splits, _ = run(MLLC, tmp_path)
    image = splits.val[0]["image"][None] / 255
    fresh = LabelCorrector(10, feature_dim=8, k=4)
    with torch.no_grad():
        prediction = model.student.eval().segmenter(image)
        trained, untouched = model.student.corrector(*prediction), fresh(*prediction)
    assert torch.allclose(trained[-1].features, untouched[-1].features, atol=0.3)
    assert torch.allclose(trained[-1].logits, untouched[-1].logits, atol=0.3)
