"""`mllc correct`: find and correct wrong labels in masks or predictions."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.correct_outputs import kept, summarize, write
from pyg_mllc.cli.errors import one_sentence
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.predict import digest, tell_left_out, tell_others, write_classes
from pyg_mllc.cli.progress import bar
from pyg_mllc.errors import InputError

KINDS = ("labels", "changes", "confidence", "found")


@hydra_command("correct")
def run(cfg: DictConfig) -> None:
    """Correct the masks of a folder."""
    with one_sentence():
        _correct(plain_options(cfg))


def _correct(cfg: dict[str, Any]) -> None:
    from pyg_mllc.cli.output_dir import Results
    from pyg_mllc.data.exif import mask_orientation
    from pyg_mllc.data.label_files import SUFFIXES, read_labels
    from pyg_mllc.inference.predictor import choose_device
    from pyg_mllc.utils.files import find_files

    sources, passed = find_files("input", cfg["input"], SUFFIXES)
    photos = _images(cfg["images"], sources, "input")
    device = choose_device(cfg["device"])
    trusted, of_trusted, more = _trusted(cfg, sources, photos)
    pictures = {*photos.values(), *of_trusted.values()}
    passed = [path for path in (*passed, *more) if path not in pictures]
    predictor, spec = _seen(cfg, sources, device)

    photo_of = {source.path: photos[source.name] for source in sources}
    photo_of |= {source.path: of_trusted[source.name] for source in trusted}
    exif = _exif(cfg["exif"], photo_of, spec)

    def given(source: Any) -> Any:
        return read_labels(source.path, spec, mask_orientation(photo_of[source.path], exif))

    options = {k: v for k, v in cfg.items() if k not in ("images", "output", "device", "progress")}
    options["input"], options["exif"] = sources[0].root, exif
    options["classes"] = list(spec.classes)
    options["checkpoint"] = digest(Path(cfg["checkpoint"])) if cfg["checkpoint"] else None
    results = Results(cfg["output"], KINDS, options)
    corrector = _corrector(cfg, predictor, spec.num_classes, device)
    _tell_doubts([source.path for source in sources], spec)
    results.begin(sources, [*photo_of, *pictures])
    anchors = [p for source in trusted for p in (source.path, of_trusted[source.name])]
    shared = _state(anchors, spec.ids, spec.palette, spec.colors)
    rests_on = {
        source.name: f"{_state([source.path, photos[source.name]])} {shared}" for source in sources
    }

    def done(source: Any) -> bool:
        return (
            results.done(source) and kept(results, source).get("rests_on") == rests_on[source.name]
        )

    todo = [source for source in sources if not done(source)]
    write_classes(results.folder / "classes.csv", spec.classes, spec.colors)
    left_out: dict[Path, str] = {}

    def fits(source: Any) -> bool:
        try:
            corrector.check(of_trusted[source.name], given(source))
        except InputError as error:
            left_out[source.path] = _naming(source.path, error)
        return source.path not in left_out

    if _own(cfg) and todo:
        trusted = [source for source in trusted if fits(source)]
    if trusted and todo:
        with bar("anchors", len(trusted), cfg["progress"]) as advance:
            masks = (_then(given(source), advance) for source in trusted)
            corrector.fit((of_trusted[source.name] for source in trusted), masks)
    number = {source.name: n for n, source in enumerate(trusted)} if _own(cfg) else {}
    with bar("correct", len(todo), cfg["progress"]) as advance:
        for source in todo:
            photo = photos[source.name]
            try:
                found = corrector.correct(photo, given(source), number.get(source.name))
            except InputError as error:
                left_out[source.path] = _naming(source.path, error)
            else:
                write(results.paths(source.name), photo, found, spec, rests_on[source.name])
            advance(1)
    there = [source for source in sources if done(source)]
    if there:
        summarize(results, there, spec.classes, len(todo) - len(sources) + len(there))
    tell_others(results, sources)
    tell_left_out(list(left_out.values()), "masks", passed)


def _tell_doubts(paths: list[Path], spec: Any) -> None:
    from pyg_mllc.data.label_files import find_label_file_warnings

    doubts, notes = find_label_file_warnings(paths, spec)
    for kind, sentences in (("warning", doubts), ("note", notes)):
        for sentence in sentences:
            print(f"{kind}: {sentence}")


def _exif(given: str, photo_of: dict[Path, Path], spec: Any) -> str:
    """How the masks lie over photos that EXIF turns, once their palettes have passed a check."""
    from pyg_mllc.data.exif import resolve_exif
    from pyg_mllc.data.label_files import read_stored_label_size
    from pyg_mllc.data.palette_consistency import check_palettes

    if not spec.has_colors:
        check_palettes(photo_of)
    pairs = [(photo, mask) for mask, photo in photo_of.items()]
    return resolve_exif(pairs, given, "exif", partial(read_stored_label_size, spec=spec))


def _naming(path: Path, error: InputError) -> str:
    """What is wrong, with the mask's name."""
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def _own(cfg: dict[str, Any]) -> bool:
    return cfg["anchors"] == "input"


def _images(given: str, sources: list[Any], option: str) -> dict[str, Path]:
    """The image of each mask, by name."""
    from pyg_mllc.utils.files import find_files
    from pyg_mllc.utils.suffixes import describe_skipped, image_suffixes

    found, passed = find_files("images", given, image_suffixes())
    there = {source.name: source.path for source in found}
    missing = [source for source in sources if source.name not in there]
    if missing:
        told = f"; {describe_skipped(passed)}" if passed else ""
        raise InputError(
            f"images={given} has no image for {missing[0].path} ({len(missing)} of {len(sources)} "
            f"of {option} have none): names must be the same up to the suffix{told}"
        )
    images = {source.name: there[source.name] for source in sources}
    spare = [path for name, path in there.items() if name not in images]
    if spare and option == "input" and len(sources) > 1:
        print(f"note: {len(spare)} of the images have no mask in input, such as {spare[0]}")
    return images


def _seen(cfg: dict[str, Any], sources: list[Any], device: Any) -> tuple[Any, Any]:
    """The network of the checkpoint, if any, and what the numbers in masks mean."""
    from pyg_mllc.data import DatasetSpec
    from pyg_mllc.data.class_table import read_as_binary, read_classes
    from pyg_mllc.data.label_files import count_classes, read_colors, read_label_values
    from pyg_mllc.inference.predictor import load

    predictor, has_colors = None, False
    paths = [source.path for source in sources]
    if cfg["checkpoint"]:
        predictor = load(cfg["checkpoint"], device=device, allow=cfg["allow"])
    names = cfg["classes"]
    if isinstance(names, str):
        table = Path(names).expanduser()
        if not table.is_file():
            raise InputError(
                f"classes={names} is no number, no list of names, such as [road,car], and no table"
            )
        spec = read_as_binary(read_classes(table, cfg["void"]), paths, read_label_values)
        return predictor, replace(spec, name="the input")
    if predictor is not None and names is None:
        names, colors, has_colors = predictor.classes, predictor.colors, True
    else:
        if names is None:
            with bar("read", len(sources), cfg["progress"]) as advance:
                names = count_classes(paths, cfg["void"], advance)
        names = [str(n) for n in (range(names) if isinstance(names, int) else names)]
        colors = read_colors(paths[0], len(names))
    void = tuple(dict.fromkeys((255, *cfg["void"])))
    spec = DatasetSpec(
        "the input",
        tuple(names),
        colors,
        void=void,
        assumes_void=void == (255,),
        has_colors=has_colors,
    )
    return predictor, read_as_binary(spec, paths, read_label_values)


def _corrector(cfg: dict[str, Any], predictor: Any, classes: int, device: Any) -> Any:
    from pyg_mllc.inference.mask_corrector import MaskCorrector
    from pyg_mllc.nn.frozen_features import EncoderFeatures

    look: Any = None
    if predictor is None:
        look = EncoderFeatures(cfg["encoder"], cfg["weights"])
    else:
        look = predictor.features
    names = "belief", "rounds", "k", "pixels", "anchor_rule", "anchor_share"
    options = {name: cfg[name] for name in names}
    if options["anchor_share"] is None and options["anchor_rule"] == "mean":
        options["anchor_share"] = 0.2
    return MaskCorrector(classes, look, device=device, **options)


def _trusted(
    cfg: dict[str, Any], sources: list[Any], photos: dict[str, Path]
) -> tuple[list[Any], dict[str, Path], list[Path]]:
    """The masks that anchors come from, their images, and what is passed over."""
    from pyg_mllc.data.label_files import SUFFIXES
    from pyg_mllc.utils.files import find_files

    if _own(cfg):  # a single mask has no other
        return (sources, photos, []) if len(sources) > 1 else ([], {}, [])
    if not cfg["anchors"]:
        return [], {}, []
    found, passed = find_files("anchors", cfg["anchors"], SUFFIXES)
    return found, _images(cfg["anchor_images"] or cfg["images"], found, "anchors"), passed


def _then(value: Any, advance: Callable[[int], None]) -> Any:
    advance(1)
    return value


def _state(paths: Iterable[Path], *more: object) -> str:
    """Return a digest that changes with a file's name, size or time, and with other values."""
    stats = ((str(path), path.stat() if path.exists() else path.lstat()) for path in paths)
    files = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    lines = "\n".join([*files, *map(str, more)])
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
