from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from graphs import maps_to_nodes
from pyg_mllc.errors import InputError
from pyg_mllc.nn import FrozenFeatures, GaussianEvidence, Segmenter, calibration_table
from pyg_mllc.nn.evidence import class_shares, fit_gaussians, start_from_evidence
from pyg_mllc.nn.evidence_calibration import ALONE, calibrate
from pyg_mllc.typing import IGNORE

ENCODER = partial(FrozenFeatures, name="test_resnet", weights=None, strides=(4, 8), embedding=False)


def pictures(number: int = 6, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Return noisy images of three colors side by side, in any order, with labels."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(number):
        order = torch.randperm(3, generator=generator)
        label = order.repeat_interleave(16)[None].expand(32, 48).contiguous()
        image = 0.6 * F.one_hot(label, 3).permute(2, 0, 1) + 0.2
        image = image + 0.1 * torch.randn(3, 32, 48, generator=generator)
        label[:4] = IGNORE
        made.append((image.clamp(0, 1), label))
    return made


def evidence(labeled=None, **options) -> GaussianEvidence:
    torch.manual_seed(0)
    made = GaussianEvidence(3, ENCODER, **options)
    made.prepare(pictures() if labeled is None else labeled)
    return made


def right(e: Tensor, label: Tensor) -> float:
    predicted = F.interpolate(e, label.shape, mode="bilinear")[0].argmax(0)
    return float((predicted == label)[label != IGNORE].float().mean())


def test_shares_of_a_cell_are_of_its_pixels_and_void_has_none():
    label = torch.tensor([[[0, 1, 2, 2], [1, 1, 2, IGNORE]]])
    shares = class_shares(label, 3, (1, 2))
    assert torch.equal(shares[0, :, 0], torch.tensor([[0.25, 0], [0.75, 0], [0, 0.75]]))


def test_it_tells_classes_apart_in_images_that_it_has_not_seen():
    made = evidence()
    for image, label in pictures(3, seed=1):
        assert right(made(image[None]), label) > 0.9


def test_mirror_images_are_labeled_alike():
    first = [(image, label) for image, label in pictures()]
    mirrored = [(image.flip(-1), label.flip(-1)) for image, label in first]
    image = pictures(1, seed=1)[0][0][None]
    options = {"weight": 1.0, "shrinkage": 0.3}
    both = [evidence(part, **options)(image) for part in (first, mirrored)]
    assert torch.allclose(*both, atol=1e-3)


def test_weight_and_shrinkage_that_are_set_stay():
    image = pictures(1, seed=1)[0][0][None]
    whole, half = (evidence(weight=a, shrinkage=0.5) for a in (1.0, 0.5))
    assert torch.allclose(whole(image), 2 * half(image)) and whole.gaussians.shrinkage == 0.5
    assert not evidence(weight=0.0)(image).any()


def test_calibration_is_by_the_other_images_and_likes_what_is_right():
    torch.manual_seed(0)
    features = ENCODER(feature_dim=0)
    gaussians, pixels = fit_gaussians(lambda x: features(x, (8, 12)), pictures(), 3)
    tried = calibrate(gaussians, pixels)
    assert [entry.miou for entry in tried] == sorted((e.miou for e in tried), reverse=True)
    assert gaussians.shrinkage == tried[0].shrinkage and tried[0].accuracy > 0.9
    assert calibration_table(tried).splitlines()[1].endswith("chosen")
    # An image whose colors mean other classes than anywhere else is wrong by the others.
    odd = [*pictures(), *[(image, (label + 1) % 3) for image, label in pictures(1, seed=5)]]
    odd[-1][1][:4] = IGNORE
    gaussians, pixels = fit_gaussians(lambda x: features(x, (8, 12)), odd, 3)
    worse = calibrate(gaussians, pixels)
    assert worse[0].accuracy < 6.2 / 7 and worse[0].temperature <= tried[0].temperature


def test_one_labeled_image_suffices_and_calibrates_nothing():
    made = evidence(pictures(1))
    assert made.weight == pytest.approx(ALONE.temperature / 2)
    image, label = pictures(1, seed=3)[0]
    assert right(made(image[None]), label) > 0.8
    assert "nothing is calibrated" in calibration_table([ALONE])


def test_images_that_are_void_tell_nothing_and_do_no_harm():
    void = [(image, torch.full_like(label, IGNORE)) for image, label in pictures(2, seed=4)]
    made, plain = evidence([*pictures(), *void]), evidence()
    image = pictures(1, seed=3)[0][0][None]
    assert torch.equal(made(image), plain(image))
    assert float(evidence([*pictures(1), *void]).weight) == pytest.approx(ALONE.temperature / 2)


def test_a_class_that_one_image_alone_shows_has_no_say_in_the_calibration():
    single = [(image, label.where(label == n, IGNORE)) for n, (image, label) in
              enumerate(pictures(3))]  # fmt: skip
    made = evidence(single)
    assert float(made.weight) == pytest.approx(ALONE.temperature / 2)
    image, label = pictures(1, seed=1)[0]
    assert right(made(image[None]), label) > 0.8
    both = evidence([*pictures(), *single[:1]])
    assert float(both.weight) > ALONE.temperature / 2


def test_scribbles_are_labels_like_others():
    """One pixel in eight is labeled."""
    torch.manual_seed(0)
    sparse = [(image, label.where(torch.rand(label.shape) < 0.125, IGNORE)) for image, label in
              pictures(8)]  # fmt: skip
    made = GaussianEvidence(3, ENCODER)
    tried = made.prepare(sparse)
    assert tried[0].accuracy > 0.7
    image, label = pictures(1, seed=1)[0]
    assert right(made(image[None]), label) > 0.85


def test_images_that_come_again_are_computed_once():
    made = evidence()
    images, index = torch.stack([image for image, _ in pictures(2)]), torch.tensor([7, 3])
    first = made.of_images(images, index)
    assert torch.allclose(first, made(images), rtol=1e-3, atol=1e-3)  # in half precision
    again = made.of_images(torch.zeros_like(images), index.flip(0))
    assert torch.equal(again, first.flip(0)) and set(made.cached) == {3, 7}
    assert torch.equal(made.of_images(images[:1], torch.tensor([9])), first[:1])  # in any batch
    made.load_state_dict(evidence(weight=0.0).state_dict())
    assert not made.of_images(images, index).any()


def test_state_is_what_prediction_needs():
    made = evidence()
    torch.manual_seed(1)
    again = GaussianEvidence(3, ENCODER)
    assert not again.is_ready
    again.load_state_dict(made.state_dict())
    image = pictures(1, seed=1)[0][0][None]
    assert again.is_ready and torch.equal(again(image), made(image))
    assert not made.gaussians.images  # which no prediction needs


@pytest.mark.parametrize("options", [{"decoder": "linear", "scale": 2.0}, {}])
def test_a_class_head_starts_from_evidence(options):
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, stride=4, init="evidence", **options)
    tried, _ = start_from_evidence(segmenter, pictures())
    assert segmenter.training and tried[0].accuracy > 0.8
    segmenter.eval()
    for image, label in pictures(3, seed=1):
        assert right(segmenter(image[None]).logits, label) > 0.85


def test_a_linear_network_computes_evidence_and_prior():
    segmenter = Segmenter(3, "test_resnet", decoder="linear", stride=4, init="evidence").eval()
    labeled = pictures()
    tried, _ = start_from_evidence(segmenter, labeled)
    gaussians, _ = fit_gaussians(segmenter.stage_map, labeled, 3)
    gaussians.solve(tried[0].shrinkage)
    image = pictures(1, seed=1)[0][0][None]
    e = gaussians.evidence(maps_to_nodes(segmenter.stage_map(image))[0])
    expected = tried[0].temperature * (e + gaussians.log_prior.float())
    logits = maps_to_nodes(segmenter(image).logits)[0]
    assert torch.allclose(logits.log_softmax(1), expected.log_softmax(1), atol=1e-3)


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"evidence.weight to be 0 or more, or null, got -1"):
        GaussianEvidence(3, ENCODER, weight=-1)
    with pytest.raises(InputError, match=r"evidence.shrinkage in \[0, 1\], or null, got 2"):
        GaussianEvidence(3, ENCODER, shrinkage=2)
    void = [(image, torch.full_like(label, IGNORE)) for image, label in pictures(2)]
    with pytest.raises(ValueError, match="expected labeled nodes"):
        evidence(void)
    with pytest.raises(ValueError, match="expected labeled images, got none"):
        evidence([])
    with pytest.raises(InputError, match=r"sees no stages: pass model\.init=evidence"):
        start_from_evidence(Segmenter(3, "test_resnet"), pictures())
