import torch

from pyg_mllc.methods import Snapshots
from pyg_mllc.nn import Segmenter


def segmenter():
    return Segmenter(8, "test_resnet", feature_dim=8, width=8)


def paint(network, label):
    """Make a network predict 1 for one class and 0 for the others, everywhere."""
    with torch.no_grad():
        network.class_head.weight.zero_()
        network.class_head.bias.copy_(torch.eye(8)[label])


def test_the_newest_state_takes_the_place_of_the_oldest():
    network = segmenter()
    snapshots = Snapshots(network, 3)
    for label in range(5):
        paint(network, label)
        snapshots.add(network)
    kept = [int(copy.class_head.bias.argmax()) for copy in snapshots.networks]
    assert sorted(kept) == [2, 3, 4] and snapshots.taken == 5


def test_a_snapshot_keeps_buffers_too_and_stays_as_it_is():
    network = segmenter()
    snapshots = Snapshots(network, 2)
    network(torch.rand(2, 3, 32, 32))  # moves the running statistics
    snapshots.add(network)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(2, 3, 32, 32))
    for name, value in snapshots.networks[0].state_dict().items():
        assert torch.equal(value, expected[name]), name
    torch.nn.ModuleList([snapshots]).train()
    assert not any(module.training for module in snapshots.modules())
    assert not any(p.requires_grad for p in snapshots.parameters())


def test_a_state_dict_goes_from_one_to_another_at_any_time():
    network = segmenter()
    full, fresh = Snapshots(network, 2), Snapshots(segmenter(), 2)
    assert full.state_dict().keys() == fresh.state_dict().keys()
    paint(network, 3)
    full.add(network)
    fresh.load_state_dict(full.state_dict())
    logits = fresh(torch.rand(1, 3, 32, 32), 3)[0, :, 0, 0]
    assert torch.allclose(logits, torch.eye(8)[3], atol=1e-5)


def test_a_few_states_drawn_at_random_predict_together():
    """The logits of painted networks are the weights of the states."""
    network = segmenter()
    snapshots, image = Snapshots(network, 8), torch.rand(1, 3, 32, 32)
    for label in range(5):  # three places are free
        paint(network, label)
        snapshots.add(network)
    torch.manual_seed(0)
    weights = torch.stack([snapshots(image, 3)[0, :, 0, 0] for _ in range(600)])
    assert torch.allclose(weights.sum(1), torch.ones(600), atol=1e-5) and (weights >= 0).all()
    assert not weights[:, 5:].any()
    assert torch.allclose(weights.mean(0)[:5], torch.tensor(0.2), atol=0.05)
    count = (weights > 0).sum(1)
    shares = torch.bincount(count, minlength=4)[1:] / 600
    assert torch.allclose(shares, torch.tensor(1 / 3), atol=0.06)
    largest = weights[count == 2].max(1).values  # uniform in [1/2, 1] by Dirichlet(1, 1)
    assert abs(float(largest.mean()) - 0.75) < 0.03 and largest.min() < 0.55 < 0.95 < largest.max()
