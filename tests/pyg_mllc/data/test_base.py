import pytest

from pyg_mllc.data.base import ReadableSet, SampleSet
from pyg_mllc.errors import InputError


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
    assert [sample["index"] for sample in readable] == [0, 2, 2, 0]
    assert "file 1 is no image" in caplog.text and "file 3 is no image" in caplog.text


def test_a_set_without_any_readable_sample_says_so():
    class All(Broken):
        def __getitem__(self, index):
            return super().__getitem__(1)

    with pytest.raises(InputError, match="No sample of the data set can be read"):
        ReadableSet(All(), skip=True)[0]
