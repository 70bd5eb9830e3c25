"""What the commands print: aligned columns, tables, lines about networks and scores."""

import os
import sys

from fastmlp.terminal import StandardError, printable

FACT_CHARACTERS = 14  # of the names of facts, at least, so that those printed one after the other are aligned


def tell(line):
    """Print a line on standard error. If that cannot be written, it is no reason to end the work that it is about."""
    print(line, file=StandardError(), flush=True)


def silence():
    """Print nothing from now on."""
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def rate(peak):
    """Text of a `Peak`: its rate, and that it was measured on a busy machine if it was."""
    busy = f", while other programs took {1 - peak.share:.0%} of the time" if peak.busy else ""
    return f"{peak.rate / 1e9:,.0f} GFLOP/s{busy}"


def size(number):
    """Text of a number of bytes: `48 KB`; "not known" for None."""
    if number is None:
        return "not known"
    unit, name = (1 << 20, "MB") if number >= 1 << 20 else (1 << 10, "KB")
    return f"{number / unit:.4g} {name}"


def facts(pairs):
    """Print (name, value) pairs as two columns."""
    lines = [(printable(name), printable(value)) for name, value in pairs]
    width = max([FACT_CHARACTERS, *(len(name) for name, _ in lines)])
    for name, value in lines:
        print(f"{name:<{width}} {value}", flush=True)


def table(header, rows):
    """Print rows of text under a header, the first column aligned to the left, the others to the right."""
    lines = [list(map(printable, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for row in lines:
        cells = [f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)]
        print(f"{row[0]:<{widths[0]}}", *cells[1:], sep="  ")


def markdown(header, rows, left=1):
    """Print a table of text in Markdown, its first `left` columns aligned to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = ["<" if column < left else ">" for column in range(len(header))]
    ends = {"<": "-", ">": ":"}
    lines.insert(1, ["-" * (width - 1) + ends[side] for width, side in zip(widths, sides, strict=True)])
    for line in lines:
        cells = (f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True))
        print("|", " | ".join(cells), "|")


def network(net):
    """Return a network in one line: widths, activations, parameters, dtype, and whether it scales its samples."""
    sizes, hidden = "-".join(map(str, net.sizes)), dict.fromkeys(net.activations[:-1])
    activations = ", ".join([*hidden, f"{net.output_activation} output"])
    return f"{sizes}, {activations}, {net.n_params:,} parameters, {net.dtype}{', scaled' if net.scaling else ''}"


def scores(named):
    """Return scores by name in one line: `R2 0.4512, RMSE 54.1, MAE 43`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in named.items())
