import torch
from dense import class_level, normalize

from graphs import class_hubs, propagate


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
    hubs, cotangent = class_hubs(logits), torch.randn(20, 4).double()
    assert torch.autograd.gradcheck(hubs.propagate, (x,))
    (mine,) = torch.autograd.grad(hubs.propagate(x), x, cotangent)
    dense = normalize(class_level(logits, logits.argmax(1), torch.zeros(20).long()))
    assert torch.allclose(mine, dense.T @ cotangent)


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


def test_hubs_as_a_pyg_graph_give_the_same():
    logits, x = torch.randn(30, 3), torch.randn(30, 5)
    hubs = class_hubs(logits, batch=torch.tensor([0] * 10 + [1] * 20))
    graph = hubs.to_hetero()
    assert graph.validate()
    to_hub, to_pixel = graph["pixel", "joins", "hub"], graph["hub", "reaches", "pixel"]
    at_hub = propagate(to_hub.edge_index, to_hub.edge_weight, x, graph["hub"].num_nodes)
    out = propagate(to_pixel.edge_index, to_pixel.edge_weight, at_hub, 30)
    assert torch.allclose(out, hubs.propagate(x), atol=1e-5)


def test_no_nodes_make_no_hubs():
    hubs = class_hubs(torch.zeros(0, 3))
    assert hubs.propagate(torch.zeros(0, 2)).shape == (0, 2)
    graph = hubs.to_hetero()
    assert graph["pixel"].num_nodes == graph["hub"].num_nodes == 0
