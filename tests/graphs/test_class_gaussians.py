import copy

import pytest
import torch
import torch.nn.functional as F
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from graphs import ClassGaussians


def blobs(n: int = 300, classes: int = 4, dim: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return features of overlapping classes, correlated and far from zero, and one-hot labels."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(classes, (n,), generator=generator)
    means = 2 * torch.randn(classes, dim, generator=torch.Generator().manual_seed(9))
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(8))
    x = means[label] + torch.randn(n, dim, generator=generator) @ mix + 5
    return x.double(), F.one_hot(label, classes).double()


def densities(
    *parts: tuple[Tensor, Tensor] | tuple[Tensor, Tensor, int], shrinkage: float = 0.3
) -> ClassGaussians:
    gaussians = ClassGaussians(parts[0][1].size(1), parts[0][0].size(1))
    for part in parts:
        gaussians.add(*part)
    gaussians.solve(shrinkage)
    return gaussians


def relative(e: Tensor) -> Tensor:
    """Return evidence without what all classes share."""
    return e - e.mean(1, keepdim=True)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_it_is_linear_discriminant_analysis(shrinkage):
    x, y = blobs()
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    model.fit(x.numpy(), y.argmax(1).numpy())
    expected = torch.from_numpy(model.decision_function(x.numpy())) - y.mean(0).log()
    evidence = densities((x, y), shrinkage=shrinkage).evidence(x)
    assert torch.allclose(relative(evidence), relative(expected), atol=1e-9)


def test_with_the_prior_it_finds_the_class_as_well_as_the_true_densities_do():
    x, y = blobs(3000)
    test, truth = blobs(3000, seed=1)
    gaussians = densities((x, y), shrinkage=0.0)
    found = (gaussians.evidence(test) + gaussians.log_prior).argmax(1)
    mix = torch.randn(6, 6, generator=torch.Generator().manual_seed(8)).double()
    means = 5 + 2 * torch.randn(4, 6, generator=torch.Generator().manual_seed(9)).double()
    normal = torch.distributions.MultivariateNormal(means, mix.T @ mix)
    best = normal.log_prob(test[:, None]).argmax(1)
    right, possible = (found == truth.argmax(1)).double().mean(), (best == truth.argmax(1)).double()
    assert possible.mean() - 0.01 < right < possible.mean() + 0.01


def test_evidence_follows_features_through_any_invertible_linear_map():
    x, y = blobs()
    a = torch.randn(6, 6, generator=torch.Generator().manual_seed(3)).double()
    moved = x @ a + 3
    before = densities((x, y), shrinkage=0.0).evidence(x)
    assert torch.allclose(densities((moved, y), shrinkage=0.0).evidence(moved), before, atol=1e-6)


def test_parts_in_any_order_and_processes_that_merge_are_the_same_as_all_at_once():
    x, y = blobs()
    whole = densities((x, y)).evidence(x)
    parts = [(part, label, image) for image, (part, label) in enumerate(
        zip(x.split(90), y.split(90), strict=True))]  # fmt: skip
    assert torch.allclose(densities(*parts[::-1]).evidence(x), whole, atol=1e-9)
    first, second = densities(*parts[:2], (x[:9], y[:9])), densities(*parts[2:])
    first.merge(second)
    both = densities((x, y), (x[:9], y[:9]))
    assert torch.allclose(first.evidence(x), both.evidence(x), atol=1e-9)
    assert first.images == (0, 1, 2, 3)


def test_an_image_is_looked_at_as_if_it_had_never_been_added():
    x, y = blobs()
    gaussians = densities((x[:100], y[:100], 7), (x[100:], y[100:], 3), (x[:20], y[:20], 7))
    number = torch.tensor([7] * 100 + [3] * 200)
    evidence = gaussians.evidence(x, number)
    assert torch.allclose(evidence[:100], densities((x[100:], y[100:])).evidence(x[:100]))
    unknown = gaussians.evidence(x, torch.full((300,), -1))
    assert torch.equal(unknown, gaussians.evidence(x))
    gaussians.forget(7)
    assert torch.allclose(gaussians.evidence(x[:100]), evidence[:100])
    gaussians.forget(7)  # which has no nodes any more
    assert gaussians.images == (3,)


def test_released_images_stay_in_the_densities():
    x, y = blobs()
    gaussians = densities((x, y, 0))
    before = gaussians.evidence(x)
    gaussians.release_images()
    assert torch.equal(gaussians.evidence(x, torch.zeros(300).long()), before)


def test_soft_labels_are_shares_of_nodes():
    x, y = blobs()
    soft = 0.25 * y + 0.75 * y.roll(1, 0)
    shares = torch.cat([0.25 * y, 0.75 * y.roll(1, 0)])
    expected = densities((torch.cat([x, x]), shares)).evidence(x)
    assert torch.allclose(densities((x, soft)).evidence(x), expected)


def test_void_nodes_count_for_nothing():
    x, y = blobs()
    label = torch.cat([y, torch.zeros(300, 4)])
    with_void = densities((torch.cat([x, x + 100]), label))
    assert torch.allclose(with_void.evidence(x), densities((x, y)).evidence(x))


def test_a_class_without_nodes_has_the_mean_of_the_others():
    x, y = blobs()
    wide = F.pad(y, (0, 1))
    gaussians = densities((x, wide))
    evidence = gaussians.evidence(x)
    assert torch.allclose(evidence[:, 4], evidence[:, :4].mean(1))
    assert gaussians.log_prior.exp()[4] == pytest.approx(1 / 305)


def test_a_class_that_one_image_alone_shows_is_unknown_to_that_image():
    x, y = blobs()
    rare = F.one_hot(torch.full((3,), 3), 4).double()
    y = y * torch.tensor([1.0, 1, 1, 0])
    gaussians = densities((x, y, 0), (x[:3], rare, 1))
    evidence = gaussians.evidence(x[:3], torch.ones(3).long())
    assert torch.allclose(evidence[:, 3], evidence[:, :3].mean(1))


def test_a_class_of_one_pixel_is_known():
    x, y = blobs()
    label = torch.cat([F.pad(y, (0, 1)), F.one_hot(torch.tensor([4]), 5)])
    gaussians = densities((torch.cat([x, x.mean(0, keepdim=True) + 40]), label))
    assert gaussians.evidence(x.mean(0, keepdim=True) + 39).argmax() == 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_of_features_and_of_the_module_does_not_matter(dtype):
    x, y = blobs()
    x = x.to(dtype)
    gaussians = densities((x, y)).to(dtype)
    evidence = gaussians.evidence(x)
    assert evidence.dtype == torch.float32
    exact = densities((x.double(), y)).evidence(x.double())
    assert torch.allclose(evidence.double(), exact, atol=1e-4)


def test_features_far_from_zero_lose_nothing():
    x, y = blobs()
    near, far = densities((x, y)).evidence(x), densities((x + 1e4, y)).evidence(x + 1e4)
    assert torch.allclose(near, far, atol=1e-5)


def test_state_is_saved_and_what_follows_is_the_same(tmp_path):
    x, y = blobs()
    gaussians, again = densities((x[:100], y[:100], 0), shrinkage=0.5), ClassGaussians(4, 6)
    torch.save(gaussians.state_dict(), tmp_path / "state.pt")
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for each in (gaussians, again, copied := copy.deepcopy(gaussians)):
        each.add(x[100:], y[100:], 1)
        each.forget(0)
    assert torch.equal(again.evidence(x), gaussians.evidence(x))
    assert torch.equal(copied.evidence(x), gaussians.evidence(x)) and again.shrinkage == 0.5
    with pytest.raises(RuntimeError, match="size mismatch for ClassGaussians"):
        ClassGaussians(4, 5).load_state_dict(gaussians.state_dict())


def test_many_classes_and_wide_features():
    x = torch.randn(400, 1024, generator=torch.Generator().manual_seed(0))
    label = torch.arange(400) % 255
    x[torch.arange(400), label] += 30
    evidence = densities((x, F.one_hot(label, 255).float())).evidence(x)
    assert torch.equal(evidence.argmax(1), label)


def test_graphs_over_points_use_it_without_any_image():
    height = torch.linspace(0, 3, 200)[:, None]  # of points above ground
    ground = (height < 1.5).squeeze(1).long()
    gaussians = densities((height, F.one_hot(ground)))
    assert gaussians.evidence(torch.tensor([[0.1], [2.9]])).argmax(1).tolist() == [1, 0]


def test_bad_input_is_refused_in_one_sentence():
    x, y = blobs()
    with pytest.raises(ValueError, match=r"num_classes of 255 at most, got 256"):
        ClassGaussians(256, 2)
    with pytest.raises(ValueError, match=r"expected labeled nodes \(of other images\), got none"):
        ClassGaussians(4, 6).solve()
    alone = densities((x, y, 0))
    with pytest.raises(ValueError, match=r"of other images\), got none; call add first"):
        alone.evidence(x, torch.zeros(300).long())
    with pytest.raises(ValueError, match=r"expected features \(N, 6\), got \(300, 5\)"):
        alone.evidence(x[:, :5])
    with pytest.raises(ValueError, match=r"expected soft labels \(300, 4\).*one_hot makes them"):
        alone.add(x, y.argmax(1))
    with pytest.raises(ValueError, match="finite soft labels of 0 or more"):
        alone.add(x, -y)
    with pytest.raises(ValueError, match="NaN or infinity"):
        alone.add(x / 0, y)
    with pytest.raises(ValueError, match=r"singular with shrinkage=0: expected a larger shrinkage"):
        densities((x[:5], y[:5]), shrinkage=0.0)
    with pytest.raises(ValueError, match=r"singular with shrinkage=0\.3.*vary within classes"):
        densities((y, y))
    with pytest.raises(ValueError, match=r"shrinkage in \[0, 1\], got 2"):
        alone.solve(2)
    with pytest.raises(ValueError, match="4 classes over 6 features, got 3 and 6"):
        alone.merge(ClassGaussians(3, 6))
