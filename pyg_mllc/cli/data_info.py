"""`mllc data info`: known data sets and their classes."""

from dataclasses import replace

import rich
from omegaconf import OmegaConf
from rich.table import Table

from pyg_mllc.cli.composition import config_dir


def _classes_of(name: str) -> list[str]:
    """Return the classes that a config of `data` selects from a published set."""
    return list(OmegaConf.load(config_dir() / f"data/{name}.yaml").classes)


def print_data_sets() -> None:
    """Print all known data sets and their published protocols."""
    from pyg_mllc.data import SPECS

    table = Table("data=", "what", box=None, padding=(0, 2, 1, 0))
    for spec in SPECS.values():
        lines = [
            f"{spec.num_classes} classes",
            f"images {spec.images}/, masks {spec.masks}/*{spec.mask_suffix}.png",
        ]
        if spec.listing:
            lines.append(f"lists {spec.listing} (split: {spec.train}, val)")
        totals: dict[int, list[str]] = {}
        for name, protocol in spec.protocols.items():
            count = "" if name == str(protocol.labeled) else f" ({protocol.labeled:,})"
            totals.setdefault(protocol.of, []).append(f"{name}{count}")
        for total, names in totals.items():
            lines.append(f"data.partition= {', '.join(names)}: labeled, of {total:,}")
        table.add_row(spec.name, "\n".join(lines))
    chosen = _classes_of("voc_animals")
    description = f"{len(chosen)} classes\nof voc: {', '.join(chosen)}; all else is void"
    table.add_row("voc_animals", description)
    own = "images/ and masks/; if wanted unlabeled/, val_images/ and val_masks/, classes.csv"
    table.add_row("folder", f"your own classes\n{own}")
    table.add_row("textures", "10 classes\nbuilt in: scenes of pieces of photographs")
    rich.print(table)
    print("Folders are below data.root. data.partition= also takes a folder with labeled.txt.")


def print_classes(name: str) -> None:
    """Print the classes of a data set.

    Args:
        name: of a built-in data set.

    Raises:
        InputError: if there is none of this name.
    """
    from pyg_mllc.data import TEXTURES, get_spec
    from pyg_mllc.typing import IGNORE

    if name == "voc_animals":
        spec = replace(get_spec("voc").only(_classes_of(name)), name=name)
    else:
        spec = TEXTURES if name == TEXTURES.name else get_spec(name)
    stored: dict[int, list[str]] = {}
    for code, label in spec.ids.items():
        stored.setdefault(label, []).append(str(code))
    table = Table("class", "name", "color", "id in masks", title=spec.name)
    for label, (named, color) in enumerate(zip(spec.classes, spec.colors, strict=True)):
        color_cell = f"{swatch(color)} {' '.join(map(str, color))}"
        table.add_row(str(label), named, color_cell, " ".join(stored[label]))
    table.add_row("", "void", "", " ".join(stored.get(IGNORE, [])))
    rich.print(table)


def swatch(color: tuple[int, int, int]) -> str:
    """Return a patch of a color for rich.

    Args:
        color: red, green and blue, 0-255.
    """
    return f"[rgb({','.join(map(str, color))})]███[/]"
