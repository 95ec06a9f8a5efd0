import pytest
import torch
from dense import class_level, normalize, semantic
from safetensors.torch import load_file

from pyg_mllc.nn import LabelCorrector, class_thresholds, trusted


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-5)])
def test_reproduces_the_authors_arithmetic(dtype, tolerance, device, real_data):
    """Numbers of the published code in float64, its permutation of the labels taken out."""
    file = real_data.parent / "golden" / "mllc_rounds.safetensors"
    if not file.is_file():
        pytest.skip("there is no folder golden/ beside MLLC_DATA")
    golden = {name: value.to(device, dtype) for name, value in load_file(file).items()}
    corrector = LabelCorrector(num_classes=5, feature_dim=256, rounds=2, k=20)
    places = {"class.0": "class_transform.0", "class.1": "class_transform.1"}
    places |= {"feature.0": "feature_transform.0", "feature.1": "feature_transform.2"}
    corrector.load_state_dict(
        {
            f"rounds.{r}.{mine}.{part}": golden[f"round{r + 1}.{theirs}.{part}"]
            for r in range(2)
            for theirs, mine in places.items()
            for part in ("weight", "bias")
        }
    )
    corrector.to(device, dtype)
    history = corrector(golden["logits0"], golden["features0"], golden["class_counts"])
    for r, (logits, features) in enumerate(history):
        assert (logits - golden[f"logits{r}"]).abs().max() < tolerance
        assert (features - golden[f"features{r}"]).abs().max() < tolerance


def blocky(num_classes=3, size=24, flipped=0.2, noise=0.05):
    """A truth of blocks, features that tell them apart, and logits of which some are flipped."""
    row = torch.arange(size) * num_classes // size
    truth = ((row[:, None] + row[None, :]) % num_classes)[None]
    features = torch.eye(num_classes)[truth].permute(0, 3, 1, 2)
    features = features + noise * torch.randn_like(features)
    wrong = torch.rand(truth.shape) < flipped
    given = torch.where(wrong, (truth + 1) % num_classes, truth)
    return truth, features, 2 * torch.eye(num_classes)[given].permute(0, 3, 1, 2)


@pytest.mark.parametrize("feature_dim", [None, 3])
def test_an_untrained_corrector_mends_flipped_labels(feature_dim, device):
    truth, features, logits = (t.to(device) for t in blocky())
    corrector = LabelCorrector(num_classes=3, feature_dim=feature_dim).to(device)
    history = corrector(logits, features)
    accuracy = [(p.logits.argmax(1) == truth).float().mean().item() for p in history]
    assert accuracy[0] < 0.85
    assert accuracy[-1] > 0.97


def test_a_fresh_corrector_is_the_identity_around_the_propagation():
    logits, features = torch.randn(2, 4, 6, 5), torch.randn(2, 8, 6, 5)
    plain, fresh = LabelCorrector(4, k=5), LabelCorrector(4, feature_dim=8, k=5)
    assert not list(plain.parameters())
    for one, other in zip(plain(logits, features), fresh(logits, features), strict=True):
        assert torch.allclose(one.logits, other.logits, atol=1e-4)
        assert torch.allclose(one.features, other.features, atol=1e-4)


def test_one_round_is_the_equations():
    logits, features = torch.randn(1, 4, 5, 7).double(), torch.randn(1, 6, 5, 7).double()
    z, f = (m[0].flatten(1).T for m in (logits, features))
    batch = torch.zeros(35, dtype=torch.long)
    a = torch.where(z.softmax(1).max(1).values >= 0.95, 0.2, 0.8)[:, None]
    z1 = (1 - a) * z + a * normalize(semantic(f, 8, batch)) @ z
    f1 = normalize(class_level(z1, z.argmax(1), batch)) @ f
    out = LabelCorrector(4, rounds=1, k=8)(logits, features)[-1]
    assert torch.allclose(out.logits[0].flatten(1).T, z1)
    assert torch.allclose(out.features[0].flatten(1).T, f1)


def test_zero_rounds_give_back_the_input():
    logits, features = torch.randn(1, 3, 4, 4), torch.randn(1, 8, 4, 4)
    [only] = LabelCorrector(3, rounds=0)(logits, features)
    assert only.logits is logits and only.features is features


def test_images_do_not_influence_each_other():
    logits, features = torch.randn(3, 4, 6, 5), torch.randn(3, 8, 6, 5)
    corrector = LabelCorrector(4, k=5)
    together = corrector(logits, features)[-1].logits
    alone = torch.cat(
        [corrector(logits[i : i + 1], features[i : i + 1])[-1].logits for i in range(3)]
    )
    assert torch.allclose(together, alone, atol=1e-5)


def test_gradient_reaches_every_weight_and_both_inputs(device):
    logits = torch.randn(2, 4, 6, 5, device=device, requires_grad=True)
    features = torch.randn(2, 8, 6, 5, device=device, requires_grad=True)
    corrector = LabelCorrector(4, feature_dim=8, k=5).to(device)
    out = corrector(logits, features)[-1]
    (out.logits.square().sum() + out.features.square().sum()).backward()
    for tensor in (logits, features, *corrector.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.any()


def test_computes_in_float32_under_autocast(device):
    logits, features = (
        torch.randn(1, 3, 6, 6, device=device),
        torch.randn(1, 8, 6, 6, device=device),
    )
    corrector = LabelCorrector(3, feature_dim=8, k=5).to(device)
    expected = corrector(logits, features)[-1]
    with torch.autocast(device.type, dtype=torch.bfloat16):
        out = corrector(logits, features)[-1]
    assert out.logits.dtype == torch.float32
    assert torch.equal(out.logits, expected.logits)


def test_trust_asks_less_of_rare_classes():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [5.0, 0.0]])  # confidence 0.88, 0.88, 0.99
    assert trusted(logits, 0.95).tolist() == [False, False, True]
    eta = class_thresholds(torch.tensor([10.0, 5.0]), 0.95)
    assert trusted(logits, 0.95, eta).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "logits, features, message",
    [
        ((1, 4, 6, 6), (1, 8, 6, 6), "logits of 3 classes, got 4"),
        ((1, 3, 6, 6), (1, 8, 5, 6), r"\(1, 3, 6, 6\) and \(1, 8, 5, 6\)"),
        ((1, 3, 6, 6), (1, 9, 6, 6), "features of 8 channels, got 9"),
        ((2, 3, 6, 6), (1, 8, 6, 6), "same images"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(logits, features, message):
    with pytest.raises(ValueError, match=message):
        LabelCorrector(3, feature_dim=8)(torch.zeros(logits), torch.zeros(features))


def test_bad_options_and_values_are_refused():
    with pytest.raises(ValueError, match="rounds >= 0, got -1"):
        LabelCorrector(3, rounds=-1)
    with pytest.raises(ValueError, match="k >= 1 neighbors, got 0"):
        LabelCorrector(3, k=0)
    with pytest.raises(ValueError, match="finite logits"):
        LabelCorrector(3)(torch.full((1, 3, 2, 2), torch.nan), torch.zeros(1, 4, 2, 2))
    with pytest.raises(ValueError, match="finite numbers in x"):
        LabelCorrector(3)(torch.zeros(1, 3, 2, 2), torch.full((1, 4, 2, 2), torch.inf))
