import csv
import os
from threading import Thread

import pytest

from pyg_mllc.utils.io import atomic_open, write_csv


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, OSError])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, stop):
    path = tmp_path / "été 1.txt"
    path.write_text("of before")
    with pytest.raises(stop), atomic_open(path) as file:
        file.write(b"half of")
        raise stop
    assert path.read_text() == "of before" and os.listdir(tmp_path) == [path.name]


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for content in (b"first", b"second"):
        with atomic_open(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == content and os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("folder", ["a file", "a file/deeper"])
def test_a_folder_that_cannot_be_is_named(tmp_path, folder):
    (tmp_path / "a file").write_text("is no folder")
    with pytest.raises(OSError) as caught, atomic_open(tmp_path / folder / "x.png"):
        pass
    assert "a file" in str(caught.value.filename)
    assert os.listdir(tmp_path) == ["a file"]


def test_a_file_that_cannot_be_is_named_as_it_was_given(tmp_path):
    path = tmp_path / ("x" * 250)  # too long with the ending that it has while it is written
    with pytest.raises(OSError) as caught, atomic_open(path):
        pass
    assert caught.value.filename == str(path)


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    with atomic_open(tmp_path / "a") as first:
        first.write(b"A" * 9)
        thread = Thread(target=write, args=(tmp_path / "a", b"B" * 9))
        thread.start()
        thread.join()
    assert (tmp_path / "a").read_bytes() == b"A" * 9
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def write(path, content):
    with atomic_open(path) as file:
        file.write(content)


def test_tables_are_read_back_and_unknown_numbers_are_empty(tmp_path):
    write_csv(tmp_path / "a.csv", ("name", "share"), [("a, b", 0.5), ("été", float("nan"))])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["name", "share"], ["a, b", "0.5"], ["été", ""]]
