"""Correct the same images with other machines, precisions, threads, processes and batches.

MLLC_DATA=path/to/data python -m experiments.stability.measure

Writes `stability.csv`: how far logits and labels after one, two and three rounds lie from those
that this machine computes in float32, image by image, on two threads.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from experiments.keep import keep
from experiments.scores import scores
from experiments.stability.inputs import ROUNDS, Group, groups
from graphs import AnchorMemory
from pyg_mllc.nn import ExportableCorrector, LabelCorrector
from pyg_mllc.utils.distributed import gather_rows

HERE = Path(__file__).parent
FORMS: dict[str, dict[str, Any]] = {
    "mllc": {},
    "mllc, anchors": {"anchor_rule": "mean"},
    "bayes, anchors": {"anchor_rule": "bayes"},
    "published": {"smooth": False},
}
Logits = list[Tensor]
"""After each round, `(B, C, h, w)` each, on the CPU in float64."""


def corrector_of(group: Group, form: str, rounds: int = ROUNDS) -> LabelCorrector:
    """Build the corrector of a form, with the weights of the group."""
    classes, size = group.logits.size(1), group.features.size(1)
    made = LabelCorrector(classes, size if group.weights else None, rounds, **FORMS[form])
    known = made.state_dict()
    made.load_state_dict({name: group.weights[name] for name in known})
    return made.eval()


def memory_of(group: Group, form: str) -> AnchorMemory | None:
    """Build the anchors of a group if the form has any; gather them from all processes."""
    if "anchors" not in form:
        return None
    x, label = group.anchors
    made = AnchorMemory(group.logits.size(1), x.size(1), budget=len(x) * group.logits.size(1))
    if dist.is_initialized():
        half = len(x) // 2
        part = slice(None, half) if dist.get_rank() == 0 else slice(half, None)
        x, label = gather_rows(x[part]), gather_rows(label[part])
    made.add(x, label)
    return made


@torch.no_grad()
def correct(group: Group, form: str, change: Callable[[Tensor], Tensor] = lambda t: t) -> Logits:
    """Correct each image of a group alone, with inputs transformed by `change`."""
    corrector, memory = corrector_of(group, form), memory_of(group, form)
    z, f = change(group.logits), change(group.features)
    if z.dtype == torch.float64:
        corrector, memory = corrector.double(), None if memory is None else memory.double()
    each = [corrector(z[i : i + 1], f[i : i + 1], anchors=memory).rounds for i in range(len(z))]
    return [torch.cat([p.logits for p in part]).double() for part in zip(*each, strict=True)]


@torch.no_grad()
def in_batches(group: Group, form: str) -> Logits:
    """Correct all images of a group at once."""
    output = corrector_of(group, form)(group.logits, group.features, anchors=memory_of(group, form))
    return [p.logits.double() for p in output.rounds]


def onnx(group: Group, form: str) -> Logits:
    """Correct with onnxruntime; only logits after the last round are not empty."""
    import onnxruntime

    module = ExportableCorrector(corrector_of(group, form), anchors=memory_of(group, form))
    example = group.logits[:1], group.features[:1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corrector.onnx"
        torch.onnx.export(module, example, file, dynamo=True, verbose=False, optimize=False)
        session = onnxruntime.InferenceSession(file)
    names = [entry.name for entry in session.get_inputs()]
    each = [
        session.run(None, dict(zip(names, (z[None].numpy(), f[None].numpy()), strict=True)))[0]
        for z, f in zip(group.logits, group.features, strict=True)
    ]
    last = torch.cat([torch.from_numpy(z) for z in each]).double()
    return [last.new_zeros(0)] * (ROUNDS - 1) + [last]


def noisy(x: Tensor) -> Tensor:
    """Return inputs in float64 with relative noise of one millionth."""
    generator = torch.Generator().manual_seed(0)
    x = x.double()
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return x + 1e-6 * noise.clamp(-1, 1) * x.abs()


Results = dict[tuple[int, str], Logits]


def elsewhere(inputs: Path, processes: int = 1, **variables: str) -> Results:
    """Correct all groups in one or two separate processes, with environment variables."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        command = ["-m", "experiments.stability.measure", "--inputs", str(inputs), "--out", folder]
        if processes > 1:
            run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            command = [*run, *command]
        subprocess.run(
            [sys.executable, *command], env={**os.environ, **variables}, check=True,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        parts = [torch.load(file) for file in sorted(out.glob("*.pt"))]
    if processes == 1:
        return parts[0]
    return {key: [torch.cat(pair) for pair in zip(*(p[key] for p in parts), strict=True)]
            for key in parts[0]}  # fmt: skip


def worker(inputs: Path, out: Path) -> None:
    """Correct all groups, or half of the images with two processes, and save the result."""
    rank = int(os.environ.get("RANK", 0))
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    results: Results = {}
    for number, (values, form) in enumerate(product(torch.load(inputs), FORMS)):
        group = Group(*values)
        if dist.is_initialized():
            half = len(group.logits) // 2
            part = slice(None, half) if rank == 0 else slice(half, None)
            group = group._replace(logits=group.logits[part], features=group.features[part])
        results[number // len(FORMS), form] = correct(group, form)
    torch.save(results, out / f"{rank}.pt")


def compare(pairs: list[tuple[Tensor, Tensor]]) -> tuple[str, ...]:
    """Compute the differences of logits in pairs of groups `(B, C, h, w)`."""
    apart = [(z - other).abs() for z, other in pairs]
    largest = torch.cat([a.flatten(1).amax(1) for a in apart])  # of each image
    values = torch.cat([a.flatten() for a in apart])
    labels = torch.cat([(z.argmax(1) != other.argmax(1)).flatten() for z, other in pairs])
    return (
        f"{largest.max():.1e}", f"{largest.median():.1e}",
        f"{100 * (values > 1e-3).double().mean():.4f}", f"{100 * labels.double().mean():.4f}",
    )  # fmt: skip


FIELDS = tuple(
    "data form rounds accuracy other images largest median percent_over percent_labels".split()
)


def rows(inputs: Path) -> Iterator[tuple[Any, ...]]:
    """Yield a line for each kind of data, form, round and comparison."""
    all_groups = [Group(*values) for values in torch.load(inputs)]
    computed: dict[str, Results] = {
        "AVX2": elsewhere(inputs, ATEN_CPU_CAPABILITY="avx2"),
        "no vectors": elsewhere(inputs, ATEN_CPU_CAPABILITY="default"),
        "two processes": elsewhere(inputs, 2, OMP_NUM_THREADS="1"),
    }
    each = list(product(range(len(all_groups)), FORMS))

    def here(how: Callable[..., Logits], *more: Any) -> Results:
        return {(n, form): how(all_groups[n], form, *more) for n, form in each}

    print("processes of their own have ended", flush=True)
    torch.set_num_threads(2)
    base = here(correct)
    computed["float64"] = here(correct, Tensor.double)
    computed["inputs 1e-6"] = here(correct, noisy)
    computed["in a batch"] = here(in_batches)
    torch.set_num_threads(1)
    computed["one thread"] = here(correct)
    torch.set_num_threads(2)
    computed["onnxruntime"] = {
        (n, form): onnx(all_groups[n], form) for n, form in each if "published" not in form
    }
    names = list(dict.fromkeys(group.data for group in all_groups))
    for data, form, r in product(names, FORMS, range(ROUNDS)):
        places = [n for n, group in enumerate(all_groups) if group.data == data]
        right = [
            scores(base[n, form][r].argmax(1), all_groups[n].truth, all_groups[n].logits.size(1))[0]
            for n in places
        ]
        for other, results in computed.items():
            pairs = [(base[n, form][r], results[n, form][r]) for n in places
                     if (n, form) in results and len(results[n, form][r])]  # fmt: skip
            if pairs:
                images = sum(len(one) for one, _ in pairs)
                accuracy = f"{sum(right) / len(right):.2f}"
                yield data, form, r + 1, accuracy, other, images, *compare(pairs)


def table(lines: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield the README's table: maximum over data and rounds, and share of changed labels."""
    yield f"| compared with | {' | '.join(FORMS)} |"
    yield "|---" * (1 + len(FORMS)) + "|"
    for other in dict.fromkeys(line["other"] for line in lines):
        cells = []
        for form in FORMS:
            matching = [line for line in lines if (line["other"], line["form"]) == (other, form)]
            largest = max((float(line["largest"]) for line in matching), default=0)
            labels = max((float(line["percent_labels"]) for line in matching), default=0)
            cells.append(f"{largest:.0e}, {labels:.3f}%" if matching else "")
        yield f"| {other} | {' | '.join(cells)} |"


def main(images: int) -> None:
    """Build the inputs, correct them in all ways, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.pt"
        torch.save([tuple(group) for group in groups(images)], inputs)
        keep(HERE / "stability.csv", FIELDS, rows(inputs))
    with (HERE / "stability.csv").open(newline="") as file:
        print("\n".join(table([*csv.DictReader(file)])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=20, help="scenes of each kind, see `groups`")
    args = parser.parse_args()
    if args.images < 4:
        parser.error(f"--images {args.images}: give 4 or more, so that two processes share a group")
    main(args.images) if args.inputs is None else worker(args.inputs, args.out)
