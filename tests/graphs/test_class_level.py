import pytest
import torch
from dense import class_level, normalize

from graphs import class_hubs


def test_hubs_equal_all_pairs(device):
    logits = 3 * torch.randn(60, 4, device=device)
    label = torch.randint(4, (60,), device=device)
    batch = torch.tensor([0] * 25 + [1] * 35, device=device)
    x = torch.randn(60, 7, device=device)
    dense = normalize(class_level(logits.cpu(), label.cpu(), batch.cpu()))
    out = class_hubs(logits, label, batch).propagate(x)
    assert torch.allclose(out.cpu(), dense @ x.cpu(), atol=1e-5)


def test_gradient_equals_that_of_all_pairs():
    logits, x = torch.randn(20, 3).double(), torch.randn(20, 4).double().requires_grad_()
    hubs = class_hubs(logits)
    assert torch.autograd.gradcheck(hubs.propagate, (x,))


def test_nodes_of_one_image_and_label_share_their_value_if_equally_sure():
    logits = torch.eye(2)[[0, 0, 1, 0]] * 20
    batch = torch.tensor([0, 0, 0, 1])
    out = class_hubs(logits, batch=batch).propagate(torch.tensor([[1.0], [3], [5], [7]]))
    assert torch.allclose(out.flatten(), torch.tensor([2.0, 2, 5, 7]), atol=1e-4)


def test_memory_is_linear():
    n, c, d = 20_000, 5, 8
    hubs = class_hubs(torch.randn(n, c))
    assert hubs.weight.numel() == n * c  # all pairs would take 400 million
    assert hubs.propagate(torch.randn(n, d)).shape == (n, d)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\).*got \(2,\) and \(2,\)"):
        class_hubs(torch.zeros(3, 2), torch.zeros(2).long())
    with pytest.raises(ValueError, match=r"expected logits \(N, C\)"):
        class_hubs(torch.zeros(3))
