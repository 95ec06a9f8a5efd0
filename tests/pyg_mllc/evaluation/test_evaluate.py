import numpy as np
import pytest
import torch
from PIL import Image

from pyg_mllc.data import OriginalSizeDataset, SegmentationDataset, loaders, textures
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError
from pyg_mllc.evaluation.evaluate import evaluate
from pyg_mllc.inference.sliding_window import full_size, sliding_window
from pyg_mllc.methods import MLLC
from pyg_mllc.metrics.segmentation import SegmentationMetrics
from pyg_mllc.nn import LabelCorrector, Segmenter
from pyg_mllc.utils.resize import upsample


@pytest.fixture(scope="module")
def splits():
    return textures(labeled=1, unlabeled=1, val=5, size=(32, 48))


@pytest.fixture
def method():
    segmenter = Segmenter(10, "test_resnet", feature_dim=8, width=16)
    return MLLC(segmenter, LabelCorrector(10, feature_dim=8, rounds=1, k=4))


@pytest.mark.parametrize("batch_size", [1, 2])
def test_measures_before_and_after_correction_and_each_image(splits, method, batch_size):
    told = []
    found = evaluate(full_size(method.predict_teacher), splits.val, batch_size, advance=told.append)
    assert list(found.stages) == ["before correction", "after correction"] and sum(told) == 5
    assert [row.name for row in found.images] == [splits.val[i]["name"] for i in range(5)]
    totals = [0, 0]
    for row, (figures, example) in zip(found.images, found.examples, strict=True):
        sample = splits.val[row.number]
        output = method.predict_teacher(sample["image"][None] / 255)
        logits = output.before.logits, output.after.logits
        probabilities = [upsample(z, (32, 48))[0].softmax(0) for z in logits]
        before, after = (p.argmax(0) for p in probabilities)
        assert figures is row and torch.equal(example.before.long(), before)
        assert torch.equal(example.after.long(), after)
        assert torch.equal(example.truth.long(), sample["label"])
        right = [(label == sample["label"]).float().mean().item() for label in (before, after)]
        assert row.accuracy == pytest.approx(tuple(right))
        changed = before != after
        assert row.fixed + row.broken + row.still_wrong == changed.sum()
        assert (row.fixed - row.broken) / (32 * 48) == pytest.approx(right[1] - right[0], abs=1e-6)
        assert row.confidence == pytest.approx(
            probabilities[1].max(0).values.mean().item(), abs=1e-5
        )
        metric = SegmentationMetrics(10, boundary=True)
        measured = [metric(p[None], sample["label"][None]) for p in probabilities]
        totals = [t + m["confusion"] for t, m in zip(totals, measured, strict=True)]
        assert row.boundary_f == pytest.approx([float(m["boundary_f"]) for m in measured])
    for total, stage in zip(totals, found.stages.values(), strict=True):
        assert torch.equal(total, stage["confusion"])


def test_without_correction_there_is_one_stage(splits, method):
    found = evaluate(full_size(lambda view: [method.student.segmenter(view)]), splits.val)
    assert list(found.stages) == ["labels"] and len(found.images[0].accuracy) == 1


def test_a_window_sees_parts_and_gives_the_whole(splits, method):
    views = []

    def predict(view):
        views.append(tuple(view.shape[-2:]))
        return method.predict_teacher(view)

    found = full_size(predict, (16, 24))(torch.rand(1, 3, 32, 48))
    assert set(views) == {(16, 24)} and [f.shape for f in found] == [(1, 10, 32, 48)] * 2
    assert all(torch.allclose(f.sum(1), torch.ones(1, 32, 48), atol=1e-5) for f in found)


def test_few_pictures_are_kept_of_many_images(splits, method):
    found = evaluate(full_size(method.predict_teacher), splits.val, gallery=4)
    assert len(found.images) == 5 and 1 <= len(found.examples) <= 4


def test_files_keep_their_own_sizes(tmp_path):
    from PIL import Image

    files = []
    for i, size in enumerate([(48, 32), (20, 30)]):
        for kind, mode in (("image", "RGB"), ("mask", "L")):
            files.append(tmp_path / f"{kind}{i}.png")
            Image.new(mode, size).save(files[-1])
    spec = DatasetSpec("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)))
    samples = OriginalSizeDataset(SegmentationDataset(files[::2], files[1::2], spec, (16, 16)))
    assert [tuple(samples[i]["label"].shape) for i in range(2)] == [(32, 48), (30, 20)]
    found = evaluate(lambda images: [images[:, :2].softmax(1)], samples)
    assert found.stages["labels"]["confusion"].sum() == 32 * 48 + 30 * 20
    assert found.stages["labels"]["accuracy"] == 1


def test_padding_is_measured_and_shown_nowhere(tmp_path):
    Image.fromarray(np.full((20, 60, 3), 99, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((20, 60), np.uint8)).save(tmp_path / "m.png")
    spec = DatasetSpec("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)))
    samples = SegmentationDataset([tmp_path / "a.png"], [tmp_path / "m.png"], spec, (60, 30))
    found = evaluate(lambda images: [images[:, :2].softmax(1)], samples)
    [(figures, example)] = found.examples
    assert example.after.shape == example.truth.shape == example.image.shape[1:] == (10, 30)
    assert figures.void == 0 and found.stages["labels"]["confusion"].sum() == 10 * 30

    right = np.arange(60) >= 30
    Image.fromarray(
        np.where(right[:, None], (0, 99, 0), (99, 0, 0)).astype(np.uint8)[None].repeat(20, 0)
    ).save(tmp_path / "a.png")
    Image.fromarray(right.astype(np.uint8)[None].repeat(20, 0)).save(tmp_path / "m.png")

    def right_but_for_the_padding(images):
        left = images[:, :1] > images[:, 1:2]
        return [torch.cat([left, ~left], 1).float()]  # there it says b

    found = evaluate(right_but_for_the_padding, samples)
    assert found.stages["labels"]["miou"] == found.stages["labels"]["boundary_f"] == 1
    Image.fromarray(np.zeros((20, 60, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((20, 60), 255, np.uint8)).save(tmp_path / "m.png")
    [(_, black)] = evaluate(lambda images: [images[:, :2].softmax(1)], samples).examples
    assert black.truth.shape == (60, 30)  # nothing tells what is padding


def test_black_void_of_an_image_at_its_own_size_is_no_padding(tmp_path):
    left = np.arange(40) < 20
    pixels = np.where(left[:, None], 99, 0).astype(np.uint8)[None].repeat(20, 0).repeat(3, 2)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    mask = np.where(left, 0, 255).astype(np.uint8)[None].repeat(20, 0)
    Image.fromarray(mask).save(tmp_path / "m.png")
    spec = DatasetSpec("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)))
    samples = OriginalSizeDataset(
        SegmentationDataset([tmp_path / "a.png"], [tmp_path / "m.png"], spec, (8, 8))
    )
    [(figures, example)] = evaluate(lambda images: [images[:, :2].softmax(1)], samples).examples
    assert figures.void == 0.5 and example.truth.shape == (20, 40)


def test_no_images_are_refused(splits, method):
    samples = SegmentationDataset([], [], splits.spec, (32, 48))
    with pytest.raises(InputError, match="no images with labels"):
        evaluate(full_size(method.predict_teacher), samples)


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


def test_every_process_evaluates_the_whole_split(splits, method, monkeypatch):
    monkeypatch.setattr(loaders, "rank_and_size", lambda: (0, 2))
    assert len(evaluate(full_size(method.predict_teacher), splits.val).images) == 5


def test_after_correction_is_after_the_last_round(splits):
    def predict(images):  # class r after round r
        return [torch.eye(10)[r].view(10, 1, 1).expand(len(images), 10, 32, 48) for r in range(3)]

    found = evaluate(predict, splits.val)
    assert all((e.before == 0).all() and (e.after == 2).all() for _, e in found.examples)
