"""Whole numbers of any kind mean what they say, however large what is reckoned with them gets."""

import pytest
import torch

from graphs import (
    AnchorMemory,
    anchor_evidence,
    anchor_graph,
    class_graph,
    class_hubs,
    knn_interpolate,
    nearest_neighbors,
    pixel_batch,
    propagate,
    random_walk_norm,
    sample_nodes,
    semantic_graph,
    symmetric_norm,
)

KINDS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32]
SMALL = {torch.uint8: 256, torch.int8: 128}


def same(found, wanted):
    """Whether two graphs, or tensors, are equal."""
    if isinstance(found, torch.Tensor):
        return torch.equal(found, wanted)
    pairs = zip(found.to_dict().values(), wanted.to_dict().values(), strict=True)
    return all(a == b if isinstance(a, int) else torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_images_and_labels_of_any_kind_make_the_same_graphs(kind):
    images = classes = SMALL.get(kind, 300)
    batch = torch.arange(images).repeat_interleave(3)
    label = torch.arange(3 * images) // 2 % classes
    logits, x = torch.randn(len(batch), classes), torch.randn(len(batch), 4)

    def seeded():
        return torch.Generator().manual_seed(0)

    for build in (
        lambda b, y: class_hubs(logits, y, b).propagate(x),
        lambda b, y: class_graph(logits, y, b, k=2, generator=seeded()),
        lambda b, y: class_graph(logits, y, b, form="dense"),
        lambda b, y: class_graph(logits, y, b, k=2, agreement="overlap", generator=seeded()),
    ):
        wanted = build(batch, label)
        assert same(build(batch.to(kind), label.to(kind)), wanted)
        for graph in (wanted,) if hasattr(wanted, "edge_index") else ():
            source, target = batch[graph.edge_index]
            assert torch.equal(source, target)  # no two images are joined


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_any_kind_have_the_same_neighbors(kind):
    last = SMALL.get(kind, 300) - 1
    batch = torch.tensor([0, 1, 43, 44, last - 1, last]).repeat_interleave(40)
    x = torch.randn(len(batch), 4)
    for build in (
        lambda b: semantic_graph(x, 2, b),
        lambda b: nearest_neighbors(x, 2, b).indices,
        lambda b: nearest_neighbors(x, 2, b, query=x, query_batch=batch).indices,
        lambda b: nearest_neighbors(x, 2, batch, query=x, query_batch=b).indices,
        lambda b: knn_interpolate(x[::3], torch.arange(0, len(x), 3), x, b),
    ):
        assert same(build(batch.to(kind)), build(batch))
    source, target = batch[semantic_graph(x, 2, batch.to(kind)).edge_index]
    assert torch.equal(source, target)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_and_chosen_nodes_of_any_kind_are_numbers(kind):
    x, weight = torch.randn(120, 4), torch.rand(240)
    edges = torch.randint(120, (2, 240))
    for build in (
        lambda e: propagate(e, weight, x),
        lambda e: symmetric_norm(e, weight, 120),
        lambda e: random_walk_norm(e, weight, 120),
    ):
        assert same(build(edges.to(kind)), build(edges))
    chosen = torch.arange(0, 120, 7)
    wanted = knn_interpolate(x[chosen], chosen, x)
    assert same(knn_interpolate(x[chosen], chosen.to(kind), x), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_anchors_of_any_kind_are_the_same(kind):
    x, label, image = torch.randn(60, 4), torch.arange(60) % 5, torch.arange(60) // 6
    found = []
    for each in (torch.int64, kind):
        memory = AnchorMemory(num_classes=5, feature_dim=4, budget=40)
        memory.add(x, label.to(each), image.to(each))
        graph = anchor_graph(x, memory, k=3, image=image.to(each))
        found.append(anchor_evidence(graph, memory.label.to(each), 5))
        memory.forget(image[:6].to(each))
        found.append(memory.image)
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])
    with pytest.raises(ValueError, match=r"image .* of whole numbers"):
        memory.forget(torch.tensor([1.5]))


def test_products_beyond_what_int32_holds():
    logits = 90 * torch.eye(1, 2**16).expand(3, -1)  # all sure of the first class
    batch = torch.tensor([0, 2**15, 2**16], dtype=torch.int32)  # times the classes, 0 in 32 bits
    label = torch.zeros(3, dtype=torch.int32)
    assert torch.equal(class_hubs(logits, label, batch).propagate(torch.eye(3)), torch.eye(3))
    assert class_graph(logits, label, batch, form="dense").edge_index.tolist() == [[0, 1, 2]] * 2


NAMES = {
    "far": [0, 0, 2**62, 2**62],
    "not from zero": [7, 7, 8, 8],
    "with gaps": [-5, -5, 1000, 1000],
    "as far as can be": [-(2**63), -(2**63), 2**63 - 1, 2**63 - 1],
}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_may_have_any_number(name):
    x, logits = torch.randn(4, 4), torch.randn(4, 3)
    label, plain = torch.zeros(4, dtype=torch.long), torch.tensor([0, 0, 1, 1])
    batch = torch.tensor(NAMES[name])
    for build in (
        lambda b: class_hubs(logits, label, b).propagate(x),
        lambda b: class_graph(logits, label, b, form="dense"),
        lambda b: semantic_graph(x, 3, b),
        lambda b: nearest_neighbors(x, 3, b, query=x, query_batch=b).indices,
    ):
        assert same(build(batch), build(plain))
    graphs = pixel_batch(torch.randn(2, 4, 1, 2))
    graphs.batch = batch
    for rule in ("uniform", "class"):
        assert batch[sample_nodes(graphs, 1, rule, label=label)].tolist() == NAMES[name][::2]


@pytest.mark.parametrize("batch", [[1, 0, 0, 0], [2**62, -(2**62), 0, 0], [2**63 - 1, -1, 0, 1]])
def test_images_out_of_order_are_refused_however_far_apart(batch):
    kinds = [torch.int64] if max(batch) > 1 else [torch.int64, torch.uint8, torch.int8]
    for kind in kinds:
        with pytest.raises(ValueError, match="batch in ascending order"):
            class_hubs(torch.randn(4, 3), batch=torch.tensor(batch).to(kind))


@pytest.mark.parametrize("pos", [[[0, 0], [2**40, 2**40]], [[0, 2**62], [2, 0]]])
def test_places_too_far_apart_are_refused(pos):
    with pytest.raises(ValueError, match="too far apart"):
        nearest_neighbors(torch.randn(2, 3), 1, pos=torch.tensor(pos), radius=1)


def test_a_label_that_is_no_number_of_a_class_is_refused():
    graphs = pixel_batch(torch.randn(2, 4, 1, 2))
    with pytest.raises(ValueError, match=r"label .* of whole numbers"):
        sample_nodes(graphs, 1, "class", label=torch.rand(4))
