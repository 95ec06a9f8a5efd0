import pytest

from pyg_mllc.errors import InputError
from pyg_mllc.utils.validation import check_count, check_index, check_size


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None, True])
def test_check_count_names_option_and_value(value):
    with pytest.raises(InputError, match=f"data.labeled={value} .* at least 1"):
        check_count("data.labeled", value, 1)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (4,), (4, 4, 4), 4, None, "44", (1.5, 2)])
def test_check_size_names_the_option(size):
    with pytest.raises(InputError, match=r"data\.size="):
        check_size("data.size", size)


def test_check_size_makes_a_tuple_of_any_sequence():
    assert check_size("data.size", [3, 5]) == (3, 5)


def test_check_index_counts_from_the_end_and_stops():
    assert [check_index(index, 3) for index in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for index in (3, -4):
        with pytest.raises(IndexError):
            check_index(index, 3)
