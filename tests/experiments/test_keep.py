from functools import partial

import pytest

from experiments.keep import extend

HEAD = ("name", "seed", "figure")


def test_only_what_a_table_lacks_is_measured_and_a_stop_loses_nothing_else(tmp_path):
    path, measured = tmp_path / "a.csv", []

    def measure(name, seed):
        measured.append((name, seed))
        yield name, seed, "1.0"
        if name == "c":
            raise KeyboardInterrupt
        yield name, seed, "2.0"

    def work(*names):
        return {(name, "0"): partial(measure, name, "0") for name in names}

    extend(path, HEAD, work("b"))
    with pytest.raises(KeyboardInterrupt):
        extend(path, HEAD, work("a", "b", "c", "d"))
    assert measured == [("b", "0"), ("a", "0"), ("c", "0")]
    lines = ["name,seed,figure", "b,0,1.0", "b,0,2.0", "a,0,1.0", "a,0,2.0"]
    assert path.read_text().splitlines() == lines


@pytest.mark.parametrize(
    "text, message",
    [("name,seed\na,0\n", "other columns than name,seed,figure"), ("", "other columns"),
     ("name,seed,figure\na,0,1.0\nb,0", "line 3, was cut")],
)  # fmt: skip
def test_a_table_of_something_else_or_a_cut_one_is_left_as_it_is(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(SystemExit, match=message):
        extend(path, HEAD, {("a", "0"): lambda: [("a", "0", 1.0)]})
    assert path.read_text() == text
