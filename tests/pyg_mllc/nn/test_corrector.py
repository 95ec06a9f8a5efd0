import math

import pytest
import torch
from dense import class_level, normalize, semantic, smooth_semantic, tapered
from safetensors.torch import load_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from graphs import AnchorMemory, anchor_evidence, anchor_graph, maps_to_nodes, pixel_batch
from pyg_mllc.data import textures
from pyg_mllc.nn import LabelCorrector, class_thresholds, label_logits, trust
from pyg_mllc.nn.label_graph import label_graph


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-5)])
def test_reproduces_the_authors_arithmetic(dtype, tolerance, device, real_data):
    """Numbers of the published code in float64, its permutation of the labels taken out."""
    file = real_data.parent / "golden" / "mllc_rounds.safetensors"
    if not file.is_file():
        pytest.skip("there is no folder golden/ beside MLLC_DATA")
    golden = {name: value.to(device, dtype) for name, value in load_file(file).items()}
    corrector = LabelCorrector(num_classes=5, feature_dim=256, rounds=2, k=20, smooth=False)
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


def test_two_rounds_are_the_equations():
    """The second graph is found by the original features and the moved ones, side by side."""
    logits, features = torch.randn(1, 4, 5, 7).double(), torch.randn(1, 6, 5, 7).double()
    z, f = (m[0].flatten(1).T for m in (logits, features))
    pos = torch.cartesian_prod(torch.arange(5.0), torch.arange(7.0)).double()
    first = f
    for number in range(2):
        maps = (first, f)[: number + 1]
        m = z.softmax(1).max(1).values
        a = (0.8 - 0.6 * (1 - (0.95 - m) / 0.1).clamp(0, 1))[:, None]
        z = (1 - a) * z + a * normalize(smooth_semantic(maps, 8, pos)) @ z
        q = torch.nn.functional.normalize((2 * z).softmax(1), dim=1)
        f = normalize(q @ q.T) @ f
    out = LabelCorrector(4, rounds=2, k=8)(logits, features).after
    assert torch.allclose(out.logits[0].flatten(1).T, z)
    assert torch.allclose(out.features[0].flatten(1).T, f)


def test_one_published_round_is_the_equations():
    logits, features = torch.randn(1, 4, 5, 7).double(), torch.randn(1, 6, 5, 7).double()
    z, f = (m[0].flatten(1).T for m in (logits, features))
    batch = torch.zeros(35, dtype=torch.long)
    a = torch.where(z.softmax(1).max(1).values >= 0.95, 0.2, 0.8)[:, None]
    z1 = (1 - a) * z + a * normalize(semantic(f, 8, batch)) @ z
    f1 = normalize(class_level(z1, z.argmax(1), batch)) @ f
    out = LabelCorrector(4, rounds=1, k=8, smooth=False)(logits, features).after
    assert torch.allclose(out.logits[0].flatten(1).T, z1)
    assert torch.allclose(out.features[0].flatten(1).T, f1)


def test_zero_rounds_give_back_the_input():
    logits, features = torch.randn(1, 3, 4, 4), torch.randn(1, 8, 4, 4)
    output = LabelCorrector(3, rounds=0)(logits, features)
    assert output.after is output.before and list(output) == [output.before]
    assert output.logits is logits and output.after.features is features


def test_images_do_not_influence_each_other():
    logits, features = torch.randn(3, 4, 6, 5), torch.randn(3, 8, 6, 5)
    corrector = LabelCorrector(4, k=5)
    together = corrector(logits, features).logits
    alone = torch.cat([corrector(logits[i : i + 1], features[i : i + 1]).logits for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_gradient_reaches_every_weight_and_both_inputs(device):
    logits = torch.randn(2, 4, 6, 5, device=device, requires_grad=True)
    features = torch.randn(2, 8, 6, 5, device=device, requires_grad=True)
    corrector = LabelCorrector(4, feature_dim=8, k=5).to(device)
    out = corrector(logits, features).after
    (out.logits.square().sum() + out.features.square().sum()).backward()
    for tensor in (logits, features, *corrector.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.any()


def test_computes_in_float32_under_autocast(device):
    logits, features = (
        torch.randn(1, 3, 6, 6, device=device),
        torch.randn(1, 8, 6, 6, device=device),
    )
    corrector = LabelCorrector(3, feature_dim=8, k=5).to(device)
    expected = corrector(logits, features).after
    with torch.autocast(device.type, dtype=torch.bfloat16):
        out = corrector(logits, features).after
    assert out.logits.dtype == torch.float32
    assert torch.equal(out.logits, expected.logits)


@pytest.mark.parametrize("smooth", [True, False])
def test_trust_asks_less_of_rare_classes(smooth):
    logits = torch.tensor([[1.5, 0.0], [0.0, 1.5], [5.0, 0.0]])  # confidence 0.82, 0.82, 0.99
    assert trust(logits, 0.95, smooth=smooth).tolist() == [0, 0, 1]
    eta = class_thresholds(torch.tensor([10.0, 5.0]), 0.95)
    assert trust(logits, 0.95, eta, smooth=smooth).tolist() == [0, 1, 1]


def test_an_unknown_option_is_named_beside_those_there_are():
    with pytest.raises(TypeError, match=r"LabelCorrector has no option neighbors; .* k, threshold"):
        LabelCorrector(3, neighbors=5)


def test_trust_is_a_ramp_or_a_step():
    confidence = torch.linspace(0.7, 0.97, 2701).double()
    logits = torch.stack([(confidence / (1 - confidence)).log(), torch.zeros(2701)], 1)
    for eta in (None, torch.tensor([0.95, 0.2])):
        smooth, step = (trust(logits, 0.95, eta, smooth=s) for s in (True, False))
        assert smooth[0] == 0 and smooth[-1] == 1 and smooth.diff().max() < 0.01
        assert step.unique().tolist() == [0, 1] and torch.equal(step > 0, confidence >= 0.95)
    everything = trust(logits, 0.0)
    assert (everything == 1).all()


def test_trust_follows_the_label_where_two_classes_tie():
    """Two classes of other thresholds: a node between them is trusted in part."""
    lead = torch.linspace(-2, 2, 401).double()
    logits = torch.stack([lead / 2, -lead / 2], 1)
    t = trust(logits, 1.0, torch.tensor([1.0, 0.0]))
    assert t[0] == 1 and t[-1] == 0 and t.diff().abs().max() < 0.2


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
    for name, value, least in (("rounds", "two", 0), ("rounds", -1, 0), ("feature_dim", 0, 1)):
        with pytest.raises(
            ValueError, match=f"{name} to be a whole number >= {least}, got '?{value}"
        ):
            LabelCorrector(3, **{name: value})
    with pytest.raises(ValueError, match="num_classes to be a whole number >= 2, got 1"):
        LabelCorrector(1)
    for k in (0, 2.5, True):
        with pytest.raises(ValueError, match=f"whole number of neighbors >= 1, got {k}"):
            LabelCorrector(3, k=k)
    with pytest.raises(ValueError, match="anchor_temperature above 0, got 0"):
        LabelCorrector(3, anchor_temperature=0)
    with pytest.raises(ValueError, match="finite logits"):
        LabelCorrector(3)(torch.full((1, 3, 2, 2), torch.nan), torch.zeros(1, 4, 2, 2))
    for levels in ("both", "class"):
        with pytest.raises(ValueError, match="finite numbers in features"):
            bad = torch.full((1, 4, 2, 2), torch.inf)
            LabelCorrector(3, levels=levels)(torch.zeros(1, 3, 2, 2), bad)
    with pytest.raises(ValueError, match=r"class_counts \(3,\), got \(2,\)"):
        LabelCorrector(3, k=2)(*inputs(), torch.ones(2))
    with pytest.raises(ValueError, match="half precision; leave it in float32"):
        LabelCorrector(3, 8, k=2).half()(*inputs())


def test_anchors_that_do_not_fit_are_refused():
    memory = AnchorMemory(2, 8, budget=4)
    with pytest.raises(ValueError, match="anchors of 3 classes, got 2"):
        LabelCorrector(3)(*inputs(), anchors=memory)
    with pytest.raises(ValueError, match="levels=both or semantic"):
        LabelCorrector(2, levels="class")(*inputs(c=2), anchors=memory)
    with pytest.raises(ValueError, match="so it needs anchors"):
        LabelCorrector(2)(*inputs(c=2), image=torch.arange(2))
    with pytest.raises(ValueError, match=r"each of 2 images or of 60 pixels, got \(3,\)"):
        LabelCorrector(2)(*inputs(c=2), anchors=memory, image=torch.arange(3))


def inputs(b=2, c=3, d=8, h=5, w=6):
    return torch.randn(b, c, h, w), torch.randn(b, d, h, w)


def test_maps_lists_and_batches_give_the_same():
    logits, features = inputs()
    corrector = LabelCorrector(3, k=4)
    maps = corrector(logits, features)
    lists = corrector(list(logits), list(features))
    batch = corrector(pixel_batch(features, logits=logits))
    for one, two, three in zip(maps, lists, batch, strict=True):
        for part in ("logits", "features"):
            assert torch.allclose(getattr(one, part), torch.stack(getattr(two, part)), atol=1e-6)
            nodes, _ = maps_to_nodes(getattr(one, part))
            assert torch.allclose(nodes, getattr(three, part), atol=1e-6)


def test_maps_of_different_sizes_are_corrected_as_each_alone():
    logits = [torch.randn(3, 4, 5), torch.randn(3, 6, 3)]
    features = [torch.randn(8, 4, 5), torch.randn(8, 6, 3)]
    corrector = LabelCorrector(3, k=4)
    together = corrector(logits, features).logits
    for z, f, out in zip(logits, features, together, strict=True):
        alone = corrector(z[None], f[None]).logits[0]
        assert out.shape == z.shape and torch.allclose(out, alone, atol=1e-5)


def test_correct_gives_labels_of_any_size_and_what_became_of_them(device):
    truth, features, logits = (t.to(device) for t in blocky(size=24))
    corrector = LabelCorrector(3).to(device)
    out = corrector.correct(logits, features)
    assert (out.label == truth).float().mean() > 0.97
    assert torch.equal(out.changed, out.label != logits.argmax(1))
    before = torch.bincount(logits.argmax(1).flatten(), minlength=3)
    assert torch.equal(out.transitions.sum(1).to(device), before)
    assert torch.equal(out.transitions.sum(0).to(device), torch.bincount(out.label.flatten()))
    assert int(out.transitions.sum() - out.transitions.trace()) == int(out.changed.sum())
    assert (out.confidence >= 1 / 3).all() and (out.confidence <= 1).all()
    large = corrector.correct(logits, features, size=(50, 70))
    assert large.label.shape == large.confidence.shape == (1, 50, 70)


def test_correct_writes_the_change_back_and_keeps_detail():
    features = torch.randn(1, 8, 6, 6)
    fine = 20 * torch.eye(3)[torch.randint(3, (1, 48, 48))].permute(0, 3, 1, 2)
    nothing = LabelCorrector(3, rounds=0).correct(fine, features)
    assert not nothing.changed.any()  # although one in eight pixels fits the features' size
    assert LabelCorrector(3).correct(fine, features).label.shape == (1, 48, 48)


def test_an_edge_aware_change_follows_the_image_and_not_the_grid_of_features(device):
    truth = torch.zeros(1, 96, 96, dtype=torch.long, device=device)
    truth[:, :, 42:] = 1  # inside a pixel of the features, 4 pixels wide
    colors = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.3, 0.9]], device=device)
    guide = colors[truth].permute(0, 3, 1, 2)
    features = torch.nn.functional.interpolate(guide, (24, 24), mode="area")
    features = features + 0.05 * torch.randn(features.shape, device=device)
    given = truth.clone()
    given[:, 40:56, 32:72] = 0  # an error that begins at the edge
    logits = torch.eye(2, device=device)[given].permute(0, 3, 1, 2)
    wrong = []
    for edge_aware in (False, True):
        corrector = LabelCorrector(2, k=8, edge_aware=edge_aware).to(device)
        out = corrector.correct(logits, features, guide=guide)
        wrong.append(int((out.label != truth).sum()))
        assert edge_aware or torch.equal(out.label, corrector.correct(logits, features).label)
    assert wrong[1] < wrong[0] < int((given != truth).sum())


def test_an_edge_aware_correction_needs_images():
    corrector, (logits, features) = LabelCorrector(3, edge_aware=True), inputs()
    for guide in (None, torch.rand(1, 3, 8, 8)):
        with pytest.raises(ValueError, match="with edge_aware the images must be given"):
            corrector.correct(logits, features, guide=guide)


def test_correct_mends_errors_as_large_as_the_features_pixels():
    truth, features, logits = blocky(size=24)
    large = torch.nn.functional.interpolate(logits, scale_factor=4, mode="bilinear")
    truth = truth.repeat_interleave(4, 1).repeat_interleave(4, 2)
    out = LabelCorrector(3).correct(large, features).label
    assert (large.argmax(1) == truth).float().mean() < 0.85
    assert (out == truth).float().mean() > 0.9


def test_correct_refuses_other_forms():
    logits, features = inputs()
    for given in ((logits[0], features[0]), (logits, features[:, :, 0])):
        with pytest.raises(ValueError, match=r"to be maps \(B, ., h, w\), or a list"):
            LabelCorrector(3).correct(*given)
    with pytest.raises(ValueError, match="same images, at least one, got 2 and 1"):
        LabelCorrector(3).correct(logits, features[:1])


def test_correct_takes_lists():
    corrector = LabelCorrector(3, k=3)
    logits, features = [torch.randn(3, 8, 9), torch.randn(3, 5, 4)], torch.randn(2, 4, 4, 4)
    out = corrector.correct(logits, list(features))
    assert [tuple(m.shape) for m in out.label] == [(8, 9), (5, 4)]
    same = corrector.correct(logits, features).confidence  # only one of both is a list
    assert all(torch.equal(one, other) for one, other in zip(out.confidence, same, strict=True))
    maps = [features[0], features[1, :, :3]]
    assert corrector.correct(torch.randn(2, 3, 8, 9), maps).label.shape == (2, 8, 9)
    with pytest.raises(ValueError, match="expected graph_features for 2 images, got 1"):
        corrector.correct(logits, features, graph_features=features[:1])


@pytest.mark.parametrize("classes, label_confidence", [(3, 1.0), (3, 0.2), (1, 0.8)])
def test_labels_that_say_nothing_or_all_are_no_logits(classes, label_confidence):
    with pytest.raises(
        ValueError, match=f"{classes} classes and label_confidence={label_confidence}"
    ):
        label_logits(torch.tensor([0]), classes, label_confidence)


@pytest.mark.parametrize("levels", ["both", "semantic", "class", "none"])
def test_levels_switch_the_flows_off(levels):
    logits, features = inputs()
    output = LabelCorrector(3, k=4, levels=levels)(logits, features)
    same = [torch.allclose(*pair) for pair in zip(output.before, output.after, strict=True)]
    assert same == [levels in ("class", "none"), levels in ("semantic", "none")]


def test_rounds_may_share_their_weights():
    own, shared = LabelCorrector(3, 8, rounds=3), LabelCorrector(3, 8, rounds=3, share_weights=True)
    count = [sum(p.numel() for p in c.parameters()) for c in (own, shared)]
    assert count[0] == 3 * count[1] and len(shared(*inputs())) == 4


def test_each_image_is_blind_to_its_own_anchors_only():
    truth, features, logits, memory = anchored()  # all of image 7
    two = logits.repeat(2, 1, 1, 1), features.repeat(2, 1, 1, 1)
    corrector = LabelCorrector(3)
    out = corrector(*two, anchors=memory, image=torch.tensor([7, 8])).logits.argmax(1)
    assert (out[0] == truth[0]).float().mean() < 0.5
    assert (out[1] == truth[0]).float().mean() > 0.97
    of_pixel = torch.tensor([7, 8]).repeat_interleave(truth.numel())
    assert torch.equal(corrector(*two, anchors=memory, image=of_pixel).logits.argmax(1), out)


def test_anchors_are_found_by_the_graph_features():
    truth, features, logits, memory = anchored()
    blind = torch.randn(1, 5, 24, 24)
    out = LabelCorrector(3)(logits, blind, anchors=memory, graph_features=features).after
    assert (out.logits.argmax(1) == truth).float().mean() > 0.97


def test_sampled_messages_are_the_mean_of_those_that_agree_in_the_image():
    """With so many draws that chance does not matter, and a layer that only sums."""
    logits, features = inputs(h=3, w=4)
    label = logits.argmax(1).flatten(1)
    corrector = LabelCorrector(3, 8, rounds=1, k=5000, levels="class", feature_conv="SimpleConv")
    out = corrector.eval()(logits, features).after.features.flatten(2)
    q = torch.nn.functional.normalize(logits.flatten(2).softmax(1), dim=1)
    for i in range(2):
        g = (q[i].T @ q[i]) * (label[i][:, None] == label[i][None])
        expected = features[i].flatten(1) @ (g / g.sum(1, keepdim=True)).T
        assert torch.allclose(out[i], expected, atol=0.1)


@pytest.mark.parametrize("given", ["class_counts", "anchors", "graph_features"])
def test_correct_uses_all_that_it_is_given(given):
    _, features, logits, memory = anchored()
    logits = logits + torch.randn_like(logits)
    value = {
        "class_counts": torch.tensor([9, 0, 0]),
        "anchors": memory,
        "graph_features": torch.randn_like(features),
    }[given]
    corrector = LabelCorrector(3, rounds=1)
    plain = corrector.correct(logits, features).confidence
    expected = corrector(logits, features, **{given: value}).logits.softmax(1).amax(1)
    out = corrector.correct(logits, features, **{given: value}).confidence
    assert torch.allclose(out, expected, atol=1e-5) and not torch.allclose(out, plain, atol=1e-3)


def test_no_graph_is_built_twice(monkeypatch):
    built = []

    def counted(*args):
        built.append(1)
        return label_graph(*args)

    monkeypatch.setattr("pyg_mllc.nn.corrector.label_graph", counted)
    logits, features = inputs()
    for options, given, expected in [
        ({}, {}, 3),
        ({"dynamic_graph": False}, {}, 1),
        ({"levels": "semantic"}, {}, 1),
        ({"levels": "semantic", "feature_dim": 8}, {}, 3),  # its transform moves the features
        ({"levels": "class"}, {}, 0),
        ({}, {"graph_features": features}, 1),
    ]:
        built.clear()
        LabelCorrector(3, rounds=3, k=4, **options)(logits, features, **given)
        assert len(built) == expected, options


def test_the_blend_can_be_learned():
    corrector = LabelCorrector(3, k=4, learn_blend=True)
    logits, features = inputs()
    fixed = LabelCorrector(3, k=4)(logits, features).logits
    out = corrector(logits, features).logits
    assert torch.allclose(out, fixed, atol=1e-5)
    out.square().sum().backward()
    assert all(r.blending.grad.any() for r in corrector.rounds)


def anchored(budget=300):
    """Logits that tell nothing, and anchors that do."""
    truth, features, logits = blocky(noise=0.1)
    memory = AnchorMemory(3, 3, budget)
    label = torch.randint(3, (budget,))
    memory.add(torch.eye(3)[label] + 0.1 * torch.randn(budget, 3), label, 7)
    return truth, features, torch.zeros_like(logits), memory


@pytest.mark.parametrize("conv", ["affinity", "SimpleConv", "LGConv"])
def test_anchors_tell_pixels_their_label(conv):
    truth, features, logits, memory = anchored()
    corrector = LabelCorrector(3, conv=conv)
    assert (corrector(logits, features).logits.argmax(1) == truth).float().mean() < 0.5
    out = corrector(logits, features, anchors=memory).logits.argmax(1)
    assert (out == truth).float().mean() > 0.97
    own = corrector(logits, features, anchors=memory, image=torch.tensor([7])).logits
    assert (own.argmax(1) == truth).float().mean() < 0.5  # an image's own anchors are hidden


@pytest.mark.parametrize("smooth", [True, False])
def test_anchors_and_neighbors_are_one_weighted_sum(smooth):
    logits, features = inputs(1, 3, 4, 4, 4)
    logits, features = logits.double(), features.double()
    memory = AnchorMemory(3, 4, budget=9).double()
    memory.add(torch.randn(9, 4).double(), torch.arange(9) // 3)
    options = {"rounds": 1, "k": 3, "anchor_share": 0.3, "blend": (1, 1), "smooth": smooth}
    z, f = (m[0].flatten(1).T for m in (logits, features))
    d = torch.cdist(f, memory.x).square()
    r = (-(d - d.amin(1, keepdim=True)) / 0.2).exp()
    if smooth:
        pos = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)).double()
        a = smooth_semantic([f], 3, pos)
        r = r * torch.stack([tapered(-row, 3) for row in d])
    else:
        a = semantic(f, 3, torch.zeros(16).long())
        r = r * (d <= d.sort(1).values[:, 2:3])
    r = r / r.sum(1, keepdim=True)
    known = math.log(0.99 / 0.01 * 2) * torch.eye(3).double()[memory.label]
    expected = 0.7 * normalize(a) @ z + 0.3 * r @ known
    out = LabelCorrector(3, **options)(logits, features, anchors=memory).logits
    assert torch.allclose(out[0].flatten(1).T, expected)


def test_evidence_of_anchors_is_bayes_rule():
    """Two classes of known density: the posterior is prior times likelihood, the memory's own
    shares of the classes notwithstanding."""
    torch.manual_seed(0)
    memory = AnchorMemory(2, 1, budget=8000)
    few, many = torch.randn(400, 1), torch.randn(4000, 1) + 1
    memory.add(torch.cat([few, many]), torch.tensor([0] * 400 + [1] * 4000))
    x = torch.linspace(-0.5, 1.5, 25)
    prior = torch.tensor([0.7, 0.3])
    logits = prior.log()[None, :, None, None].expand(1, 2, 5, 5)
    kernel = {"k": 2000, "anchor_temperature": 0.5}  # exp(-d^2 / T), of deviation 1/2
    corrector = LabelCorrector(2, rounds=1, levels="none", anchor_rule="bayes", **kernel)
    out = corrector(logits, x.view(1, 1, 5, 5), anchors=memory).logits.softmax(1)
    width = (1 + 0.25) ** 0.5  # of a class, seen through the kernel
    density = torch.stack([(-((x - m) ** 2) / 2 / width**2).exp() for m in (0, 1)])
    expected = prior[:, None] * density
    expected = expected / expected.sum(0)
    assert torch.allclose(out[0].flatten(1), expected, atol=0.04)


def test_evidence_is_a_summand_of_given_strength():
    truth, features, logits, memory = anchored()
    found = anchor_graph(features[0].flatten(1).T, memory, 20, 0.2)
    evidence = anchor_evidence(found, memory.label, 3).T.view(1, 3, 24, 24)
    for strength in (0.0, 0.5, None):
        corrector = LabelCorrector(3, anchor_rule="bayes", anchor_share=strength)
        out = corrector(logits, features, anchors=memory).logits
        share = 1.0 if strength is None else strength
        expected = LabelCorrector(3)(logits + share * evidence, features).logits
        assert torch.allclose(out, expected, atol=1e-5)
    assert (out.argmax(1) == truth).float().mean() > 0.97
    with pytest.raises(ValueError, match="'mean' or 'bayes', got 'sum'"):
        LabelCorrector(3, anchor_rule="sum")


def test_graph_features_decide_who_looks_alike():
    truth, features, logits = blocky()
    blind = torch.randn(1, 5, 24, 24)
    corrector = LabelCorrector(3)
    out = corrector(logits, blind, graph_features=features).logits.argmax(1)
    assert (out == truth).float().mean() > 0.97


def test_sampled_messages_are_the_same_each_time_once_trained():
    corrector = LabelCorrector(3, 8, k=4, feature_conv="SAGEConv")
    logits, features = inputs()
    corrector.eval()
    first, again = (corrector(logits, features).after.features for _ in range(2))
    assert torch.equal(first, again)
    corrector.train()
    assert not torch.equal(*(corrector(logits, features).after.features for _ in range(2)))


class LargestTensor(TorchDispatchMode):
    """Remember the size of the largest tensor that any operation gives."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                size = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.largest = max(self.largest, size)
        return out


def test_no_tensor_has_a_number_for_each_pair_of_pixels():
    n = 60 * 60
    logits = torch.randn(1, 5, 60, 60, requires_grad=True)
    features = torch.randn(1, 16, 60, 60, requires_grad=True)
    with LargestTensor() as mode:
        out = LabelCorrector(5, 16)(logits, features).after
        (out.logits.sum() + out.features.sum()).backward()
    assert 0 < mode.largest < n * n / 10


def test_compiles_with_graph_breaks_and_gives_the_same():
    logits, features = inputs()
    corrector = LabelCorrector(3, feature_dim=8, rounds=1, k=4)
    compiled = torch.compile(corrector, backend="aot_eager")
    for one, other in zip(corrector(logits, features), compiled(logits, features), strict=True):
        assert torch.allclose(one.logits, other.logits, atol=1e-5)
        assert torch.allclose(one.features, other.features, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"levels": "all"}, "levels to be 'both'.*got 'all'"),
        ({"blend": (0.2, 1.8)}, r"in \[0, 1\], got 0.95 and \(0.2, 1.8\)"),
        ({"anchor_share": 2}, r"anchor_share in \[0, 1\], got 2"),
        ({"threshold": 95}, r"in \[0, 1\], got 95"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LabelCorrector(3, **options)


def test_forms_that_do_not_fit_are_refused():
    logits, features = inputs()
    corrector = LabelCorrector(3, k=4)
    with pytest.raises(ValueError, match="expected features beside logits, got none"):
        corrector(logits)
    with pytest.raises(ValueError, match=r"features \(B, D, h, w\), got .* and list"):
        corrector(logits, list(features))
    with pytest.raises(ValueError, match=r"graph_features of the same images and size"):
        corrector(logits, features, graph_features=features[..., :3])
    with pytest.raises(ValueError, match="no features beside a Batch"):
        corrector(pixel_batch(features, logits=logits), features)


def test_noisy_logits_of_textures_gain(device):
    scenes = textures(labeled=3, unlabeled=0, val=1, size=(48, 64)).labeled
    image = torch.stack([scenes[i]["image"] for i in range(3)]).to(device) / 255
    truth = torch.stack([scenes[i]["label"] for i in range(3)]).to(device)
    local = torch.cat([image, image.square()], 1)  # color and contrast around each pixel
    features = torch.nn.functional.avg_pool2d(local, 9, 1, 4, count_include_pad=False)
    features = features - features.mean((2, 3), keepdim=True)
    logits = label_logits(truth, 10).permute(0, 3, 1, 2)
    logits = logits + 3 * torch.randn_like(logits)
    history = LabelCorrector(10)(logits, features)
    before, one, two = ((p.logits.argmax(1) == truth).float().mean() for p in history)
    assert before < 0.6 and one > before + 0.2 and two > before + 0.2


@pytest.mark.parametrize("conv", ["GATv2Conv", "SAGEConv"])
def test_sampled_messages_of_an_image_do_not_depend_on_its_batch(conv):
    corrector = LabelCorrector(3, 8, k=4, feature_conv=conv).eval()
    for weight in corrector.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    logits, features = torch.randn(3, 3, 6, 7), torch.randn(3, 8, 6, 7)
    together = corrector(logits, features).after
    for i in range(3):
        alone = corrector(logits[i : i + 1], features[i : i + 1]).after
        assert torch.allclose(together.features[i], alone.features[0], atol=1e-5)


def test_an_empty_graph_at_the_end_of_a_batch_is_an_image_too():
    from torch_geometric.data import Batch, Data

    parts = [Data(x=torch.randn(n, 4), logits=torch.randn(n, 3)) for n in (5, 0)]
    memory = AnchorMemory(3, 4, budget=10)
    memory.add(torch.randn(6, 4), torch.arange(6) % 3)
    batch = Batch.from_data_list(parts)
    history = LabelCorrector(3, k=2)(batch, anchors=memory, image=torch.tensor([0, 1]))
    assert history.logits.shape == (5, 3)
