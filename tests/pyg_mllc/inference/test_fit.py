import numpy as np
import pytest
import torch

import pyg_mllc
from pyg_mllc.errors import InputError
from pyg_mllc.nn import Segmenter
from pyg_mllc.nn.encoders import has_packaged_weights
from tests.pyg_mllc.nn.test_evidence import pictures

LITE0 = "tf_efficientnet_lite0"
OPTIONS = {"encoder": "test_resnet", "weights": None, "size": (32, 48)}


def pairs(number=6, seed=0):
    """Return images and masks as a user has them: arrays of bytes."""
    both = pictures(number, seed)
    images = [(255 * image).permute(1, 2, 0).byte().numpy() for image, _ in both]
    return images, [label.byte().numpy() for _, label in both]


def accuracy(predictor, images, masks):
    labels = [predictor.predict(image, correct=True).label.numpy() for image in images]
    return np.mean([(y == m)[m != 255].mean() for y, m in zip(labels, masks, strict=True)])


def test_a_few_masks_make_a_network_that_any_command_takes(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "colors.ckpt"
    predictor = pyg_mllc.fit(*pairs(), ["red", "green", "blue"], output=path, **OPTIONS)
    images, masks = pairs(3, seed=1)
    assert accuracy(predictor, images, masks) > 0.8
    again = pyg_mllc.load(path)
    assert again.classes == ("red", "green", "blue")
    first, second = (p.predict(images[0], correct=True) for p in (predictor, again))
    assert torch.equal(first.after, second.after)


@pytest.mark.skipif(not has_packaged_weights(LITE0), reason="needs the extra weights")
def test_the_encoder_has_the_weights_that_were_asked_for(tmp_path):
    path = tmp_path / "colors.ckpt"
    predictor = pyg_mllc.fit(*pairs(2), size=(32, 48), output=path)
    expected = Segmenter(3, LITE0, "package").encoder.state_dict()
    for network in (predictor, pyg_mllc.load(path)):
        state = network.segmenter.encoder.state_dict()
        assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_images_may_have_many_sizes_and_forms():
    torch.manual_seed(0)
    images, masks = pairs()
    images[0], masks[0] = images[0].repeat(2, 0), masks[0].repeat(2, 0)
    images[1], masks[1] = torch.from_numpy(images[1]).permute(2, 0, 1), torch.from_numpy(masks[1])
    predictor = pyg_mllc.fit(images, masks, **OPTIONS)
    assert predictor.classes == ("0", "1", "2")
    assert accuracy(predictor, *pairs(3, seed=1)) > 0.8


def test_bad_input_is_refused_in_one_sentence():
    images, masks = pairs(2)
    with pytest.raises(InputError, match="a mask for each image, got 2 and 1"):
        pyg_mllc.fit(images, masks[:1], **OPTIONS)
    with pytest.raises(InputError, match=r"class numbers \(H, W\) of an image of \(32, 48\)"):
        pyg_mllc.fit(images, [mask[:9] for mask in masks], **OPTIONS)
    with pytest.raises(InputError, match="masks of 2 classes, got the number 2"):
        pyg_mllc.fit(images, masks, 2, **OPTIONS)
    with pytest.raises(InputError, match="two classes at least, got the number 0 alone"):
        pyg_mllc.fit(images, [np.where(mask == 1, 255, 0) for mask in masks], **OPTIONS)
    with pytest.raises(InputError, match="from 0 to 255, got 300"):
        pyg_mllc.fit(images, [np.full(mask.shape, 300) for mask in masks], **OPTIONS)
    with pytest.raises(InputError, match="got -1"):
        pyg_mllc.fit(images, [mask.astype(int) - 1 for mask in masks], **OPTIONS)
    with pytest.raises(InputError, match="expected labeled nodes"):
        pyg_mllc.fit(images, [np.full_like(mask, 255) for mask in masks], **OPTIONS)
