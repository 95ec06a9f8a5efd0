import numpy as np
import pytest
import torch
from PIL import Image

import pyg_mllc
from pyg_mllc.data.image_io import as_tensor, letterbox
from pyg_mllc.errors import InputError
from pyg_mllc.inference.checkpoint import Saved, load_method
from pyg_mllc.inference.postprocessing import label_map
from pyg_mllc.inference.predictor import Predictor
from pyg_mllc.utils.resize import upsample

SIZE = (32, 48)


@pytest.fixture(scope="module")
def predictor(checkpoint_file):
    return pyg_mllc.load(checkpoint_file)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)


def test_every_form_of_an_image_gives_the_same(predictor, image, tmp_path):
    file = tmp_path / "été 1.png"
    Image.fromarray(image).save(file)
    expected = predictor.predict(image, correct=True)
    assert expected.label.shape == expected.confidence.shape == (40, 70)
    assert expected.before.shape == expected.after.shape == (3, 40, 70)
    channels_first = torch.from_numpy(image).permute(2, 0, 1)
    for same in (file, str(file), Image.open(file), channels_first, channels_first / 255):
        for one, other in zip(predictor.predict(same, correct=True), expected, strict=True):
            assert torch.equal(one, other)
    gray = Image.fromarray(image).convert("L")
    assert torch.equal(predictor.predict(gray).label, predictor.predict(np.asarray(gray)).label)


def test_the_network_sees_what_training_saw_and_answers_at_the_images_size(predictor, image):
    found = predictor.predict(image, correct=True)
    seen = letterbox(Image.fromarray(image), SIZE, nearest=False, fill=0)[:27, :48]
    view = torch.from_numpy(seen).permute(2, 0, 1)[None] / 255
    output = predictor.network(view, predictor.memory)
    for prediction, got in ((output.before, found.before), (output.after, found.after)):
        logits = upsample(upsample(prediction.logits, (27, 48)), (40, 70))
        # training's resize rounds to whole numbers
        assert torch.allclose(logits.softmax(1)[0], got, atol=0.05)
    assert torch.equal(found.label, found.after.argmax(0))
    assert torch.allclose(found.confidence, found.after.max(0).values, atol=1e-5)
    assert (found.before - found.after).abs().max() > 1e-3


def test_options_change_what_is_seen(predictor, image):
    plain = predictor.predict(image, correct=True)
    off = predictor.predict(image)
    assert torch.equal(off.before, off.after) and torch.equal(off.before, plain.before)
    flipped = predictor.predict(image[:, ::-1].copy(), flip=True)
    both = predictor.predict(image, flip=True)
    assert torch.allclose(flipped.after.flip(-1), both.after, atol=1e-4)
    views = []
    real = predictor.forward
    predictor.forward = lambda part, correct: views.append(tuple(part.shape[-2:])) or real(part)
    try:
        predictor.predict(image, correct=True, scales=[0.5, 1.0, 2.0])
        assert set(views) == {(14, 24), (27, 48), (32, 48)} and views.count((32, 48)) == 9
        views.clear()
        assert predictor.predict(image, fit=False, window=(20, 30)).label.shape == (40, 70)
        assert set(views) == {(20, 30)}
    finally:
        predictor.forward = real


def test_student_and_teacher_are_two_networks(checkpoint_file, image):
    student, teacher = (pyg_mllc.load(checkpoint_file, network=n) for n in ("student", "teacher"))
    with torch.no_grad():
        student.segmenter.class_head.bias.add_(torch.tensor([0.0, 9.0, 0.0]))
    assert (student.predict(image).label == 1).all()
    found = (network.predict(image, correct=True).after for network in (student, teacher))
    assert not torch.equal(*found)
    with pytest.raises(InputError, match="student or teacher, got 'ema'"):
        pyg_mllc.load(checkpoint_file, network="ema")


def test_a_batch_gives_what_its_images_give(predictor, image):
    pair = [image, image[::-1].copy()]
    single = [predictor.predict(one, correct=True) for one in pair]
    for one, other in zip(predictor.predict_batch(pair, correct=True), single, strict=True):
        assert torch.allclose(one.before, other.before, atol=1e-4)
        assert torch.allclose(one.after, other.after, atol=1e-4)


def test_label_maps_are_those_of_the_softmax():
    logits = 3 * torch.randn(5, 7, 9)
    confidence, label = upsample(logits[None], (20, 31))[0].softmax(0).max(0)
    got = label_map(logits, (20, 31))
    assert torch.equal(got[0], label) and torch.allclose(got[1], confidence, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (33, 47)])
def test_images_of_any_size(predictor, size):
    found = predictor.predict(torch.rand(3, *size), correct=True)
    assert found.label.shape == size and found.confidence.isfinite().all()


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.zeros((4, 4, 3)), r"array \(4, 4, 3\) of float64"),
        (np.zeros((4, 4, 4), np.uint8), r"array \(4, 4, 4\) of uint8"),
        (torch.zeros(4, 4), r"expected an image \(3, H, W\), got a tensor \(4, 4\)"),
        (torch.zeros(3, 0, 4), r"got a tensor \(3, 0, 4\)"),
        (torch.full((3, 4, 4), 200.0), "floats in .0, 1., got torch.float32 from 200"),
        (torch.zeros(3, 4, 4).long(), "got torch.int64"),
        (torch.full((3, 4, 4), torch.nan), "got torch.float32"),
        (Image.new("I;16", (4, 4)), "more than 8 bits per channel"),
        (7, "expected a path, a PIL image, an array"),
        ("nowhere.png", "nowhere.png does not exist"),
    ],
)
def test_what_is_no_image_is_refused(bad, message):
    with pytest.raises(InputError, match=message):
        as_tensor(bad)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"scales": []}, r"scales=\[\]"),
        ({"scales": [0.0]}, r"scales=\[0.0\]"),
        ({"overlap": 1.0}, "overlap=1.0"),
        ({"overlap": "x"}, "overlap=x"),
        ({"scales": "ab"}, "scales=ab"),
        ({"scales": ["a"]}, r"scales=\['a'\]"),
        ({"window": (0, 4)}, r"window=\(0, 4\) must be two positive whole numbers"),
        ({"window": 64}, "window=64 must be two positive whole numbers"),
    ],
)
def test_options_out_of_range_are_refused(predictor, options, message):
    with pytest.raises(InputError, match=message):
        predictor.predict(torch.rand(3, 8, 8), **options)
    with pytest.raises(InputError, match="a batch is images of one size"):
        predictor.predict_batch([torch.rand(3, 8, 8), torch.rand(3, 8, 9)])


def test_features_are_of_the_size_asked_for(predictor):
    found = predictor.features(torch.rand(2, 3, 40, 70), (10, 20))
    assert found.shape[0] == 2 and found.shape[2:] == (10, 20)
    assert found.isfinite().all() and found.std(0).sum() > 0


def test_the_network_chosen_is_the_one_that_labels(checkpoint_file, image):
    method = load_method(checkpoint_file).method
    with torch.no_grad():
        for weight in method.student.parameters():
            weight.mul_(-1)
    names, colors = ("sky", "road", "car"), ((0, 0, 9), (9, 0, 0), (0, 9, 0))
    saved = Saved(method, names, colors, SIZE)  # another student, the same teacher
    student, teacher = (Predictor(saved, role) for role in ("student", "teacher"))
    unchanged = pyg_mllc.load(checkpoint_file, "teacher", "cpu").predict(image).before
    assert torch.equal(teacher.predict(image).before, unchanged)
    assert not torch.equal(student.predict(image).before, unchanged)
