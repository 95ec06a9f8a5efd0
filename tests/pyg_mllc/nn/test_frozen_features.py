import math
from functools import partial

import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.nn import EncoderFeatures, FrozenFeatures

FROZEN = partial(FrozenFeatures, name="test_resnet", weights=None)
IMAGES = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
SIZE = (6, 8)


def made(name="test_resnet", **options):
    """Build features of an encoder alone, always the same."""
    torch.manual_seed(0)
    return FROZEN(0, name=name, embedding=False, **options)


def test_frozen_features_stay_and_stand_beside_the_embedding():
    encoder = FROZEN(feature_dim=8).train()
    assert not any(m.training for m in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    embedding = torch.randn(2, 8, *SIZE)
    maps = encoder(IMAGES, SIZE, embedding)
    assert maps.shape == (2, encoder.feature_dim, *SIZE)
    assert torch.allclose(maps[:, :8].norm(dim=1), torch.ones(2, *SIZE), atol=1e-5)
    with pytest.raises(InputError, match="contain the network's embedding, and got none"):
        encoder(IMAGES, SIZE)
    encoder.embedding = False
    assert torch.equal(encoder(IMAGES, SIZE), maps[:, 8:])
    assert FROZEN(feature_dim=8, embedding=False).feature_dim == encoder.feature_dim - 8


@pytest.mark.parametrize("scale", [0.5, 1.3, 2])
def test_a_scale_shows_other_features_at_the_size_asked_for(scale):
    plain, scaled = made(), made(scale=scale)
    maps = scaled(IMAGES, SIZE)
    assert maps.shape == (2, plain.feature_dim, *SIZE)
    assert not torch.allclose(maps, plain(IMAGES, SIZE), atol=1e-2)
    view = torch.nn.functional.interpolate(
        IMAGES, [max(round(scale * n / 2), 1) * 2 for n in (48, 64)], mode="bilinear",
        antialias=scale < 1,
    )  # fmt: skip
    assert torch.allclose(maps, plain(view, SIZE), atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.5},
        {"name": ["test_resnet", "test_vit"]},
        {"name": "test_vit", "remove_position": 8},
    ],
)
def test_features_of_a_mirror_image_are_mirrored(options):
    options = {"strides": [4, 8, 16]} | options
    encoder = made(mirror=True, **options)
    maps, mirrored = encoder(IMAGES, SIZE), encoder(IMAGES.flip(-1), SIZE)
    assert torch.allclose(mirrored.flip(-1), maps, atol=1e-5)
    plain = made(**options)
    assert not torch.allclose(plain(IMAGES.flip(-1), SIZE).flip(-1), plain(IMAGES, SIZE), atol=1e-2)


def test_encoders_stand_side_by_side_with_a_normalization_each():
    names = ["test_resnet", "test_vit", "test_efficientnet"]
    joined = made(names, strides=[8, 16])
    torch.manual_seed(0)
    each = [FROZEN(0, name=name, strides=[8, 16], embedding=False) for name in names]
    assert torch.equal(joined(IMAGES, SIZE), torch.cat([e(IMAGES, SIZE) for e in each], dim=1))
    assert joined.feature_dim == sum(e.feature_dim for e in each)
    assert len({e.mean[0].item() for e in each}) > 1
    alone = FROZEN(5, name=["test_resnet"])
    assert alone(IMAGES, SIZE, torch.randn(2, 5, *SIZE)).size(1) == alone.feature_dim
    with pytest.raises(InputError, match=r"test_vit has stages of .*, none of \[8\]"):
        made(names, strides=[8])


def vit(**options):
    """Build features of a vision transformer, in which smooth positions are strong."""
    encoder = made("test_vit", strides=[16], **options)
    embed = encoder.stages.extractor.model.pos_embed
    side = math.isqrt(embed.size(1))
    grid = torch.linspace(-1, 1, side)
    row, column = grid.repeat_interleave(side), grid.repeat(side)
    waves = torch.stack([row, column, row * column, row.square()], dim=1)
    smooth = waves @ torch.randn(4, embed.size(2), generator=torch.Generator().manual_seed(1))
    embed.data[0, -side * side :] = smooth
    return encoder


def spread(maps):
    """Return how much features of an image vary from pixel to pixel."""
    return (maps - maps.mean((2, 3), keepdim=True)).norm(dim=1).mean()


def test_features_without_position_vary_less_in_a_blank_image():
    orange = torch.tensor([1.0, 0.6, 0.1]).view(1, 3, 1, 1).expand(-1, -1, 96, 128)
    with_position, without = vit(), vit(remove_position=8)
    assert spread(without(orange, SIZE)) < 0.2 * spread(with_position(orange, SIZE))
    assert spread(without(IMAGES, (3, 4))) > 0.01  # what an image shows still differs
    for directions in without._position_directions([96, 128]):
        assert torch.allclose(directions.T @ directions, torch.eye(8), atol=1e-5)
    (directions, *_), (stage, *_) = without._position_directions([48, 64]), without._encode(IMAGES)
    assert torch.einsum("bdhw,dk->bkhw", stage, directions).abs().max() < 1e-4 * stage.abs().max()


def test_directions_of_position_depend_on_the_size_of_images_alone():
    encoder = vit(remove_position=4)
    both = encoder(IMAGES, SIZE)
    assert torch.allclose(encoder(IMAGES[1:], SIZE), both[1:], atol=1e-5)
    again = vit(remove_position=4)
    again(1 - IMAGES, SIZE), again(torch.rand(1, 3, 32, 32), SIZE)
    assert torch.equal(again(IMAGES, SIZE), both)
    assert set(again.state_dict()) == set(vit().state_dict())
    other = FROZEN(0, name="test_vit", strides=[16], embedding=False, remove_position=4)
    other(IMAGES, SIZE)
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other(IMAGES, SIZE), both)


def test_what_does_not_vary_with_position_is_kept():
    options = {"name": "test_vit", "strides": [16]}
    plain, without = made(**options), made(**options, remove_position=4)
    for encoder in (plain, without):
        encoder.stages.extractor.model.pos_embed.data.zero_()
    assert torch.equal(without(IMAGES, SIZE), plain(IMAGES, SIZE))


@pytest.mark.parametrize("options", [{}, {"mirror": True}, {"name": ["test_resnet", "test_vit"]}])
def test_half_precision_gives_whole_features(options):
    encoder = made(strides=[8, 16], **options)
    maps = encoder(IMAGES, SIZE)
    assert torch.allclose(encoder(IMAGES.half(), SIZE), maps, atol=1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        halved = encoder(IMAGES, SIZE)
    assert halved.dtype == torch.float32
    assert torch.allclose(halved, maps, atol=5e-2)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"strides": [5]}, r"test_resnet has stages of strides .*, none of \[5\]"),
        ({"scale": 0}, "expected scale of a frozen encoder to be above 0, got 0"),
        ({"scale": -1.0}, "expected scale of a frozen encoder to be above 0, got -1.0"),
        ({"scale": float("nan")}, "expected scale of a frozen encoder to be above 0, got nan"),
        ({"remove_position": -1}, "expected remove_position of test_resnet to be from 0 to 47"),
        ({"remove_position": 96}, "expected remove_position of test_resnet to be from 0 to 47"),
        ({"name": []}, "expected the name of a frozen encoder, or a list of names, got none"),
    ],
)
def test_says_in_a_sentence_what_cannot_be(options, told):
    with pytest.raises(InputError, match=told):
        FROZEN(0, **options)


def test_encoder_features_reduce_large_images():
    encoder = EncoderFeatures("test_resnet", None, strides=(8, 16), side=32)
    maps = encoder(IMAGES[:1], SIZE)
    small = torch.nn.functional.interpolate(IMAGES[:1], (24, 32), mode="bilinear", antialias=True)
    assert maps.shape == (1, encoder.encoder.feature_dim, *SIZE)
    assert torch.equal(maps, encoder.encoder(small, SIZE))
