"""Files that `mllc correct` writes for each mask, and its summary."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import rich
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pyg_mllc.cli.errors import short
from pyg_mllc.cli.output_dir import FolderReport, Results
from pyg_mllc.utils.files import Source
from pyg_mllc.utils.io import atomic_open, write_csv

if TYPE_CHECKING:
    from pyg_mllc.data import DatasetSpec
    from pyg_mllc.inference.checkpoint import Config
    from pyg_mllc.inference.mask_corrector import MaskCorrection

MAX_ISSUE_RATE = 0.25  # share of suspected labels above which the suspicion itself is doubtful


def kept(results: Results, source: Source) -> "Config":
    """Return the findings of a mask, as `write` stored them.

    Args:
        results: folder of results.
        source: the mask.
    """
    return json.loads(results.paths(source.name)["found"].read_text())


def write(
    paths: dict[str, Path],
    photo: Path,
    correction: "MaskCorrection",
    spec: "DatasetSpec",
    rests_on: str,
) -> None:
    """Write the pictures and the findings of a corrected mask.

    Args:
        paths: of its files, by kind.
        photo: image of the mask.
        correction: result of `MaskCorrector.correct`.
        spec: the classes.
        rests_on: digest of all files that the result depends on; when it changes, the mask is
            corrected again.
    """
    from pyg_mllc.data.image_io import as_tensor
    from pyg_mllc.inference.label_issues import find_label_issues
    from pyg_mllc.typing import IGNORE
    from pyg_mllc.visualization.masks import (
        changes_picture,
        gray_picture,
        palette_picture,
        save_picture,
    )

    save_picture(paths["labels"], palette_picture(correction.label, spec.colors, spec.class_ids))
    shown = correction.label, correction.changed, correction.doubt > 0.5
    picture = changes_picture(as_tensor(photo), *shown, spec.colors)
    save_picture(paths["changes"], picture)
    save_picture(paths["confidence"], gray_picture(correction.confidence))
    known = correction.given != IGNORE
    left = {
        **find_label_issues(correction)._asdict(),
        "known": int(known.sum()),
        "rests_on": rests_on,
    }
    left["changed"] = int((correction.changed & known).sum())
    with atomic_open(paths["found"]) as file:
        file.write(json.dumps(left).encode())


class MaskReport(NamedTuple):
    """Outcome of a correction of masks."""

    files: FolderReport
    issues: list[tuple[object, ...]]  # rows of issues.csv, the likeliest wrong first
    changed: int  # labeled pixels whose label changed
    changed_masks: int  # masks with such pixels
    suspected: int  # pixels whose label is more likely wrong than right
    labeled: int  # pixels


def write_tables(
    results: Results, sources: Sequence[Source], classes: Sequence[str], files: FolderReport
) -> MaskReport:
    """Write `issues.csv` and `confusions.csv` of all corrected masks.

    Args:
        results: folder of results.
        sources: the corrected masks.
        classes: names of the C classes.
        files: counts of the files.

    Returns:
        The counts, and the findings.
    """
    from pyg_mllc.inference.label_issues import (
        COLUMNS,
        ImageIssues,
        Region,
        common_label_issues,
        issue_rows,
    )

    issues, changed, changed_masks, known = [], 0, 0, 0
    for source in sources:
        left = kept(results, source)
        del left["rests_on"]
        regions = [Region(*region) for region in left.pop("regions")]
        changed_masks += left["changed"] > 0
        changed, known = changed + left.pop("changed"), known + left.pop("known")
        issues.append((source.name, ImageIssues(**left, regions=regions)))
    rows = list(issue_rows(issues, classes))
    if sources:
        pairs = [
            (classes[g], classes[s], n, images) for g, s, n, images in common_label_issues(issues)
        ]
        write_csv(results.folder / "issues.csv", COLUMNS, rows)
        columns = ("given", "suggested", "pixels", "images")
        write_csv(results.folder / "confusions.csv", columns, pairs)
    suspected = sum(image.pixels for _, image in issues)
    return MaskReport(files, rows, changed, changed_masks, suspected, known)


def print_findings(report: MaskReport) -> None:
    """Print the likeliest wrong masks and regions, and the changes.

    Args:
        report: of all masks.
    """
    count = report.files.done + report.files.skipped
    if not count:
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for column in ("likeliest wrong", "score", "given", "suggested", "suspected pixels"):
        table.add_column(
            column, justify="right" if column in ("score", "suspected pixels") else "left"
        )
    for kind in ("image", "region"):
        for row in [row for row in report.issues if row[1] == kind][:5]:
            place = f" at x={row[8]} y={row[7]}" if kind == "region" else ""
            table.add_row(*(Text(str(v)) for v in (f"{row[2]}{place}", *row[3:7])))
    rich.print(table)
    there = f" ({report.files.skipped} were there already)" if report.files.skipped else ""
    share = f"{report.changed / max(report.labeled, 1):.2%} of all labeled pixels"
    changed = f"{report.changed_masks} of them changed, in {share}"
    print(f"{count} masks examined{there}, {changed}: {short(report.files.folder)}")
    print("suspected: the label is more likely wrong than right; changed: one other is likelier")
    # Of labels of which so many were wrong, few would be kept at all.
    if report.suspected > MAX_ISSUE_RATE * report.labeled:
        print(
            f"more than {MAX_ISSUE_RATE:.0%} of all labels are doubted: the other masks may tell "
            "too little; try anchors=<folder of trusted masks>, or anchors=null"
        )
