import pytest
import torch

from graphs.knn.exact import ExactSearch, grouped_topk


@pytest.mark.parametrize("columns", [5, 320, 1283])
def test_grouped_topk_is_topk(columns):
    value = torch.randn(9, columns)
    value[0] = 1.0
    value[1, 3:] = -torch.inf
    column, values = grouped_topk(value, 5)
    assert torch.equal(values, value.topk(5, dim=1).values)
    assert torch.equal(value.gather(1, column), values)
    assert all(len(set(row.tolist())) == 5 for row in column)


def test_grouped_topk_finds_values_of_one_group_and_of_none():
    value = torch.zeros(2, 1283)
    value[0, torch.arange(5) * 80] = torch.tensor([5.0, 4, 3, 2, 1])  # columns of one group
    value[1, -5:] = torch.tensor([1.0, 2, 3, 4, 5])  # at the end, beyond the last whole group
    column, _ = grouped_topk(value, 5)
    assert column.tolist() == [[0, 80, 160, 240, 320], [1282, 1281, 1280, 1279, 1278]]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 50), (64, 7), (1000, 1000)])
def test_blocks_do_not_matter(rows, columns, metric):
    x = torch.nn.functional.normalize(torch.randn(100, 8).double())
    index, value = ExactSearch(x, metric)(None, 6)
    again = ExactSearch(x, metric, rows=rows, columns=columns)(None, 6)
    assert torch.equal(index, again[0]) and torch.allclose(value, again[1])
