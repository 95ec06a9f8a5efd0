"""Classes of the user's own masks: read from a table, or inferred from the masks."""

import csv
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyg_mllc.data.builtin_specs import voc_color
from pyg_mllc.data.id_counts import IdCounts, MaskIdCounts, count_ids, table_lines
from pyg_mllc.data.mask_io import pack_colors, read_raw_mask
from pyg_mllc.data.spec import DatasetSpec
from pyg_mllc.errors import InputError, listed
from pyg_mllc.typing import IGNORE, Color
from pyg_mllc.utils.sampling import evenly_spaced

log = logging.getLogger(__name__)

VOID = ("void", "ignore", "unlabeled")  # names of rows that are no class
SAMPLED = 64  # masks that decide whether 0 and 255 are the two classes
COLUMNS = {
    1: ("name",),
    2: ("id", "name"),
    4: ("name", "r", "g", "b"),
    5: ("id", "name", "r", "g", "b"),
}


class ClassRow(NamedTuple):
    """Row of a table of classes.

    Args:
        code: Id in masks.
        name: Name of the class.
        color: Color in masks and figures; None if the table gives none.
    """

    code: int
    name: str
    color: Color | None


def read_classes(path: Path, void: Sequence[int] = (IGNORE,)) -> DatasetSpec:
    """Read a table of classes: one class per line, in the order that training numbers them.

    A line is ``name``, ``id,name``, ``name,r,g,b`` or ``id,name,r,g,b``. The first line may name
    these columns. Without ids, masks store the number of the line, from 0. A row called void,
    ignore or unlabeled is no class. Colors are those of masks in color and of figures; without
    colors, each class gets one.

    Args:
        path: Text file with columns separated by commas, semicolons or tabs.
        void: Further ids that mean void, unless the table gives them to a class.

    Returns:
        Spec of the classes, without folders.

    Raises:
        InputError: If the table is missing or a line has another form, naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = next((c for c in ",;\t" if c in text.strip().partition("\n")[0]), ",")
        lines = csv.reader(text.splitlines(), delimiter=delimiter)
        numbered = [(number, [cell.strip() for cell in row]) for number, row in enumerate(lines, 1)]
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"data.classes={path} cannot be read ({reason}): name a text file, one class a line."
        ) from error
    table = [(number, cells) for number, cells in numbered if any(cells)]
    columns: Sequence[str] = ()
    if table and "name" in (head := [cell.lower() for cell in table[0][1]]):
        columns, table = head, table[1:]
        if unknown := [column for column in head if column and column not in COLUMNS[5]]:
            raise InputError(
                f"{path} has the columns {listed(head)}, and {unknown[0]!r} means nothing here: "
                f"call the columns {', '.join(COLUMNS[5])}, and take others out."
            )
    rows: list[ClassRow] = []
    for place, (number, cells) in enumerate(table):
        try:
            rows.append(_row(cells, columns or COLUMNS[len(cells)], place))
            if rows[-1].code in [row.code for row in rows[:-1]]:
                raise ValueError(f"the id {rows[-1].code} is given twice")
        except (KeyError, IndexError, ValueError) as error:
            reason = f" ({error})" if isinstance(error, ValueError) else ""
            raise InputError(
                f"{path}, line {number}: {','.join(cells)!r} is not understood{reason}: write "
                "name, or id,name, or name,r,g,b, or id,name,r,g,b."
            ) from error
    return spec_from_rows(rows, void, str(path))


def _row(cells: list[str], columns: Sequence[str], place: int) -> ClassRow:
    values = {column: cells[index] for index, column in enumerate(columns)}
    if not values["name"]:
        raise ValueError("a class has a name")
    color = None
    if values.get("r"):
        color = int(values["r"]), int(values["g"]), int(values["b"])
        if not all(0 <= channel <= 255 for channel in color):
            raise ValueError("a color is three numbers from 0 to 255")
    code = int(values["id"]) if values.get("id") else place
    if not -1 <= code < 2**16:
        raise ValueError("an id is a whole number from -1 to 65535")
    return ClassRow(code, values["name"], color)


def spec_from_rows(rows: Iterable[ClassRow], void: Sequence[int], source: str) -> DatasetSpec:
    """Build the spec of a folder from rows of a table of classes.

    Args:
        rows: Classes and void, in order.
        void: Further ids that mean void.
        source: Origin of the rows, for messages.

    Returns:
        Spec of the classes, without folders.

    Raises:
        InputError: If there are fewer than two classes, two share a name or a color, or an id is
            void, too.
    """
    rows = list(rows)
    classes = [row for row in rows if row.name.lower() not in VOID]
    others = [row for row in rows if row.name.lower() in VOID]
    names = [row.name for row in classes]
    if not classes:
        raise InputError(f"{source} names no class: write one class a line.")
    own = [row.color for row in classes if row.color]
    void_colors = {row.color for row in others if row.color}
    free = (color for color in map(voc_color, count()) if color not in {*own, *void_colors})
    colors = [row.color or next(free) for row in classes]
    twice = _repeated(names) or _repeated([*own, *void_colors])
    if twice:
        raise InputError(f"{source} gives {twice} to two classes: change one.")
    if len(classes) == 1:
        raise InputError(
            f"{source} names only the class {names[0]!r}, and at least two are needed: "
            "make what is around it a class, too."
        )
    codes: dict[int | Color, int] = {row.code: label for label, row in enumerate(classes)}
    both = next((code for code in void if code in codes and code != IGNORE), None)
    if both is not None:
        raise InputError(
            f"{source} makes the id {both} the class {names[codes[both]]!r}, and data.void="
            f"{list(void)} makes it void: give classes their ids in a table, lines such as "
            "1,road, or take the id out of data.void."
        )
    codes |= {row.color: label for label, row in enumerate(classes) if row.color}
    ids = [row.code for row in others] + [code for code in void if code not in codes]
    return DatasetSpec(
        name="folder",
        has_colors=bool(own),
        classes=tuple(names),
        colors=tuple(colors),
        codes=codes,
        void=(*dict.fromkeys(ids), *sorted(void_colors)),
        assumes_void=tuple(void) == (IGNORE,) and IGNORE not in {row.code for row in rows},
    )


def _repeated(values: Sequence[Any]) -> Any:
    return next((value for place, value in enumerate(values) if value in values[:place]), None)


def infer_classes(masks: Sequence[Path], void: Sequence[int], table: Path) -> DatasetSpec:
    """Infer the classes from the ids in masks: one per number up to the largest id.

    Args:
        masks: All masks.
        void: Ids that mean void.
        table: Path where the user may name the classes, for messages.

    Returns:
        Spec of the classes, which are named after their ids.

    Raises:
        InputError: If masks have colors, their ids do not number classes, or none can be read.
    """
    stored = IdCounts()
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        for path, counts in zip(masks, pool.map(_count, masks), strict=True):
            if not isinstance(counts, MaskIdCounts):
                raise InputError(
                    f"{path} has colors, such as {counts}, and nothing says what they mean: "
                    f"write the classes into {table}, lines of name,r,g,b."
                )
            stored.add(path, counts)
    if not stored.pixels and masks:
        read_raw_mask(masks[0])  # raises: no mask can be read
    number = stored.infer_num_classes(void, f"write the classes into {table}")
    rows = (ClassRow(label, f"class {label}", None) for label in range(number))
    return spec_from_rows(rows, void, str(table))


def _count(path: Path) -> MaskIdCounts | tuple[int, ...]:
    """Count the ids of a mask, none if it is unreadable; return a color of a mask in color."""
    try:
        values = read_raw_mask(path)
    except InputError:
        return MaskIdCounts({}, {})  # reading the sample raises it again
    if values.ndim == 2:
        return count_ids(values)
    return tuple(values.reshape(-1, 3)[pack_colors(values).argmax()].tolist())


def read_as_binary(
    spec: DatasetSpec,
    masks: Sequence[Path],
    read: Callable[[Path], np.ndarray] = read_raw_mask,
) -> DatasetSpec:
    """Make 255 the second of two classes if masks hold 0 and 255 alone.

    Such masks have the values of a black and white image. As void, their 255 would leave a single
    class. A warning tells of the change. If some masks hold 255 and others 1, but none holds both,
    255 may mean either.

    Args:
        spec: Spec of the classes.
        masks: Mask files; some of them are read, evenly spaced.
        read: Reads the ids (H, W) or colors (H, W, 3) of a mask.

    Returns:
        The spec; changed only if it has two classes without ids of their own, void is assumed, and
        masks hold 0 and 255 alone.

    Raises:
        InputError: If some masks hold 255 and others 1, but none holds both.
    """
    if spec.num_classes != 2 or not spec.assumes_void or spec.ids != {0: 0, 1: 1, IGNORE: IGNORE}:
        return spec
    first: dict[frozenset[int], Path] = {}  # first mask by the ids that it holds
    for place in evenly_spaced(len(masks), SAMPLED):
        with suppress(InputError):  # reading the sample raises it again
            values = read(masks[place])
            ids = frozenset(np.unique(values).tolist()) if values.ndim == 2 else frozenset({-1})
            first.setdefault(ids, masks[place])
            if ids - {0, 1, IGNORE} or ids >= {1, IGNORE}:
                return spec
    ones, others = ([mask for ids, mask in first.items() if i in ids] for i in (1, IGNORE))
    if ones and others:
        raise InputError(
            f"{others[0]} holds {IGNORE} and {ones[0]} holds 1, but no mask holds both, so that "
            f"{IGNORE} may mean {spec.classes[1]!r} or void: store one number for each class, or "
            f"write {table_lines([0, 1, IGNORE], [*spec.classes, 'void'])} into a table of the "
            "classes."
        )
    if frozenset().union(*first) != {0, IGNORE}:
        return spec
    log.warning(
        "the masks hold 0 and 255 alone: 255 is read as %r and 0 as %r; the lines %s in a table of "
        "the classes say so, and the lines %s would make 255 void",
        spec.classes[1],
        spec.classes[0],
        table_lines([0, IGNORE], spec.classes),
        table_lines([0, 1, IGNORE], [*spec.classes, "void"]),
    )
    return replace(spec, codes={0: 0, IGNORE: 1}, void=(), assumes_void=False)
