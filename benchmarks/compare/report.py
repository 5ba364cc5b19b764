"""From the raw numbers of one run: a Markdown table beside the file, and a plot of ratios.

Promise: nothing is measured here; every cell is the median of the rounds in the file.
"""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from benchmarks.compare.aims import AIMS, Aim

_PLOTTED: Final = (
    "write, blocks of 4 KiB (MiB): per second",
    "read again, blocks of 4 KiB (MiB): per second",
    "create 4 KiB: per second",
    "create 4 KiB until in the store: per second",
    "unlink: per second",
    "append a line and fsync: per second",
    "untar: seconds",
    "git clone: seconds",
)

Table = dict[str, dict[str, list[float]]]


def write_report(path: Path) -> None:
    """``NAME.md`` and ``NAME.svg`` beside ``NAME.json``."""
    kept = json.loads(path.read_text())
    table = _collect(kept["rows"])
    path.with_suffix(".md").write_text(_markdown(table, kept["circumstances"]))
    _plot(table, path.with_suffix(".svg"))


def _collect(rows: list[dict[str, Any]]) -> Table:
    table: Table = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for measure, value in row["measures"].items():
            table[measure][row["system"]].append(value)
    return table


def _markdown(table: Table, circumstances: dict[str, Any]) -> str:
    systems = list(dict.fromkeys(system for row in table.values() for system in row))
    said = ", ".join(f"{name} {value}" for name, value in circumstances.items())
    lines = [
        f"Median of the rounds; {said}.",
        "",
        f"| measure | {' | '.join(systems)} |",
        f"|---|{'---:|' * len(systems)}",
    ]
    for measure, row in table.items():
        cells = [_cell(row[system]) if system in row else "" for system in systems]
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    lines += ["", "| ratio of | to | measure | read | aim |", "|---|---|---|---:|---:|"]
    lines += [row for aim in AIMS if (row := _aim_row(table, aim))]
    return "\n".join(lines) + "\n"


def _aim_row(table: Table, aim: Aim) -> str:
    """The median of the rounds' ratios; nothing where either system was not there."""
    ours, theirs = table[aim.measure].get(aim.system), table[aim.than_measure or aim.measure].get(aim.than)
    if not ours or not theirs:
        return ""
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=False))
    than = f"{aim.than}: {aim.than_measure}" if aim.than_measure else aim.than
    return f"| {aim.system} | {than} | {aim.measure} | {ratio:.2f} | {aim.bound} |"


def _cell(values: list[float]) -> str:
    value = statistics.median(values)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _plot(table: Table, path: Path) -> None:
    """Bars of speed relative to ext4 (1.0), on a logarithmic scale; seconds are turned into speed."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    shown = [measure for measure in _PLOTTED if "ext4" in table.get(measure, {})]
    systems = [s for s in dict.fromkeys(s for measure in shown for s in table[measure]) if s != "ext4"]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.8 * len(shown)))
    height = 0.8 / max(len(systems), 1)
    for index, system in enumerate(systems):
        ratios = [_speed(measure, table[measure], system) for measure in shown]
        places = [row + index * height for row in range(len(shown))]
        axes.barh(places, ratios, height, label=system)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(shown))], [m.rpartition(":")[0] for m in shown])
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("speed relative to ext4 on the same disk (1.0)")
    axes.invert_yaxis()
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path)


def _speed(measure: str, row: dict[str, list[float]], system: str) -> float:
    if system not in row:
        return 0.0
    theirs, disk = statistics.median(row[system]), statistics.median(row["ext4"])
    return disk / theirs if measure.endswith("seconds") else theirs / disk
