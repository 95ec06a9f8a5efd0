"""Print the tables of README.md from `label_noise.csv` and `seconds.csv`.

python -m experiments.label_noise.table
"""

import csv
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Print a table in Markdown per data set; the highest of a column is bold."""
    with (HERE / "label_noise.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (HERE / "seconds.csv").open(newline="") as file:
        seconds = {row["method"]: row["seconds_per_image"] for row in csv.DictReader(file)}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for data in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == data]
        order = ("network", "flips", "confusions", "boundaries", "missing")
        cases = sorted(
            {(row["noise"], row["share"]) for row in of_data},
            key=lambda c: (order.index(c[0]), c[1]),
        )
        by_key = {(row["noise"], row["share"], row["method"]): row for row in of_data}
        for measure in ("accuracy", "miou"):
            best = {
                case: max(float(by_key[*case, m][measure]) for m in methods if (*case, m) in by_key)
                for case in cases
            }
            heads = [f"{noise} {float(share):.0%}".replace(" 0%", "") for noise, share in cases]
            print(f"\n{data}, {measure}\n\n| corrector | {' | '.join(heads)} | s/image |")
            print("|---" * (len(cases) + 2) + "|")
            for method in methods:
                if not any((*case, method) in by_key for case in cases):
                    continue
                cells = []
                for case in cases:
                    if (*case, method) not in by_key:
                        cells.append("")
                        continue
                    value = float(by_key[*case, method][measure])
                    cells.append(f"**{value:.1f}**" if value == best[case] else f"{value:.1f}")
                print(f"| {method} | {' | '.join(cells)} | {seconds.get(method, '')} |")


if __name__ == "__main__":
    main()
