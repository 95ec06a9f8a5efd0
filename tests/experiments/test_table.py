import pytest

from experiments.table import figures, line, over, read, spread


def table(tmp_path, *lines):
    path = tmp_path / "table.csv"
    head = "config,overrides,seed,miou_last,miou_best,label_accuracy,label_miou,commit"
    path.write_text("\n".join([head, *lines]))
    return path


def test_a_row_is_a_mean_over_its_seeds(tmp_path):
    path = table(
        tmp_path,
        "methods/b,,0,43.0,43.0,90.0,43.0,abc",
        "methods/a,,0,40.0,41.0,80.0 82.0,40.0 42.0,abc",
        "methods/a,,1,42.0,43.0,81.0 85.0,41.0 45.0,def",
    )
    found = read(path, [])
    assert list(found) == ["a", "b"]  # the best comes last
    cells = line("a", found["a"])
    assert cells == ("a", "2", "41.0 ± 1.4", "42.0 ± 1.4", "80.5 → 83.5", "40.5 → 43.5", "abc, def")


def test_rows_are_chosen_by_parts_of_their_names(tmp_path):
    path = table(tmp_path, "methods/a,,0,1,1,1,1,abc", "methods/b,,0,1,1,1,1,abc")
    assert list(read(path, ["b"])) == ["b"]


def test_runs_with_changed_options_are_told_apart_and_shown_on_demand(tmp_path):
    path = table(tmp_path, "methods/a,,0,1,1,1,1,abc", "methods/a,k=9,0,2,2,2,2,abc")
    assert list(read(path, [])) == ["a"]
    assert list(read(path, [], changed=True)) == ["a", "a k=9"]


def test_one_seed_has_no_spread():
    assert spread([41.26]) == "41.3"
    assert spread([-0.03], "+") == "+0.0" and spread([1.0, -2.0], "+") == "-0.5 ± 2.1"


def test_gains_are_counted_on_the_same_seed(tmp_path):
    path = table(
        tmp_path,
        "methods/a,,0,40,40,1,1,abc",
        "methods/a,,1,50,50,1,1,abc",
        "methods/b,,1,53,53,1 1,51 56,abc",
        "methods/b,,0,41,41,1 1,41 44,abc",
        "methods/b,,2,99,99,1 1,1 1,abc",
    )
    head, _, *lines = over(figures(read(path, [])), ["a"])
    assert "gain over a" in head and "seed 2" not in head
    assert lines == [
        "| b: the teacher, corrected | 44.0 (+4.0) | 56.0 (+6.0) | +5.0 ± 1.4 |",
        "| b | 41.0 (+1.0) | 53.0 (+3.0) | +2.0 ± 1.4 |",
        "| a | 40.0 (+0.0) | 50.0 (+0.0) | +0.0 ± 0.0 |",
    ]
    with pytest.raises(SystemExit, match="c is not in the table; there are: b"):
        over({"b": {}}, ["c"])


def test_leads_are_means_over_shared_seeds_of_students(tmp_path):
    path = table(
        tmp_path,
        "methods/a,,0,40,40,1,1,abc",
        "methods/a,,1,50,50,1,1,abc",
        "methods/b,,0,41,41,1 1,1 1,abc",
        "methods/b,,1,53,53,1 1,1 1,abc",
        "methods/c,,1,51,51,1,1,abc",
        "methods/d,,2,60,60,1,1,abc",
        "methods/a,,2,61,61,1,1,abc",
    )
    assert [*over(figures(read(path, [])), ["a", "b"])] == [
        "| mIoU (points), mean lead over | a | b |",
        "| --- | --- | --- |",
        "| b | +2.0 ± 1.4 | +0.0 ± 0.0 |",
        "| c | +1.0 | -2.0 |",
        "| a | +0.0 ± 0.0 | -2.0 ± 1.4 |",
        "| d | -1.0 |  |",
    ]
