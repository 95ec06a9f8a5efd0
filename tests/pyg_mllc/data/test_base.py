import pytest

from pyg_mllc.data.base import ReadableSet, SampleSet
from pyg_mllc.errors import InputError
from pyg_mllc.utils.validation import check_count, check_index, check_size


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None, True])
def test_check_count_names_option_and_value(value):
    with pytest.raises(InputError, match=f"data.labeled={value} .* at least 1"):
        check_count("data.labeled", value, 1)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (4,), (4, 4, 4), 4, None, "44", (1.5, 2)])
def test_check_size_names_the_option(size):
    with pytest.raises(InputError, match=r"data\.size="):
        check_size(size)


def test_check_size_makes_a_tuple_of_any_sequence():
    assert check_size([3, 5]) == (3, 5)


def test_check_index_counts_from_the_end_and_stops():
    assert [check_index(index, 3) for index in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for index in (3, -4):
        with pytest.raises(IndexError):
            check_index(index, 3)


class Broken(SampleSet):
    """Every other sample cannot be read."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index % 2:
            raise InputError(f"file {index} is no image")
        return {"name": str(index)}


def test_unreadable_samples_stop_or_are_passed_over(caplog):
    with pytest.raises(InputError, match=r"file 1 is no image.*trainer\.on_unreadable=skip"):
        ReadableSet(Broken())[1]
    readable = ReadableSet(Broken(), skip=True)
    assert [readable[i]["index"] for i in range(4)] == [0, 2, 2, 0]
    assert "file 1 is no image" in caplog.text and "file 3 is no image" in caplog.text


def test_a_set_without_any_readable_sample_says_so():
    class All(Broken):
        def __getitem__(self, index):
            return super().__getitem__(1)

    with pytest.raises(InputError, match="No sample of the data set can be read"):
        ReadableSet(All(), skip=True)[0]
