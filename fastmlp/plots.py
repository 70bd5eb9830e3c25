"""Pictures of networks and of training, with matplotlib: each function writes one file and returns nothing.

The ending of `path` chooses the kind of file: png, svg or pdf. A file is written completely or not at all. Every
function raises ValueError for another ending and ImportError if matplotlib is missing. Colors are those of Okabe and
Ito, "Color Universal Design" (2008), which people with any kind of color vision can tell apart.
"""

import io
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np

from fastmlp.replacing import replace

KINDS = (".png", ".svg", ".pdf")
BLUE, ORANGE = "#0072B2", "#D55E00"
COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vP*X"
GRAY = "#999999"
UNIT_RADIUS = 19  # of the circle of a unit, in points (1/72 inch)
MOST_UNITS = 12  # largest layer of a drawn network; with more units their values are too small to read
WIDEST = 7.0  # width of the arrow of the largest error signal, in points (1/72 inch)
SPAN = 10  # ratio of the largest to the smallest loss above which the scale is logarithmic
DODGE = 5  # distance, in a roofline, between the marks of one network with different libraries, in points (1/72 inch)
GRID = 300  # decision regions are predicted at GRID times GRID places


def check(path):
    """Raise a ValueError if the ending of `path` is not one of KINDS, an ImportError if matplotlib is missing."""
    if Path(path).suffix.lower() not in KINDS:
        raise ValueError(f"path must end in one of {', '.join(KINDS)}; got {str(path)!r}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'fastmlp[plot]'") from None


def network(net, backpropagation, path):
    """Draw a network with its activations, and the error signals that flow back through its weights.

    A circle is a unit with its activation, below it its δ; a thin gray line is a weight. The arrow from unit j back to
    unit i carries W[i, j] δ_j, the share of unit j in ∂E/∂a of unit i: its width is proportional to the size, its
    color is the sign. An arrow into an output is its δ.

    Parameters
    ----------
    net : MLP
        At most MOST_UNITS units in every layer.
    backpropagation : Backpropagation
        From `net.backpropagate`; the first of its samples is drawn.
    path : str or path

    Raises
    ------
    ValueError
        If a layer has more than MOST_UNITS units.
    """
    if max(net.sizes) > MOST_UNITS:
        raise ValueError(f"network can be drawn up to {MOST_UNITS} units in a layer, this one has sizes {net.sizes}")
    deltas = [delta[0] for delta in backpropagation.deltas]
    signals = [weight * delta for weight, delta in zip(net.weights[1:], deltas[1:], strict=True)]
    largest = max(np.abs(values).max() for values in [*signals, deltas[-1]]) or 1.0  # 1 where there is no error at all
    last, height = len(net.sizes) - 1, max(net.sizes)
    figure, axes = _figure(max(2.2, 0.3 * height) * (last + 1), height, path)  # an inch for a unit, room for its arrows
    axes.set(position=(0, 0, 1, 1), xlim=(-0.3, last + 0.7), ylim=(height - 0.4, -0.4))
    axes.set_axis_off()
    centers = [[(layer, (height - size) / 2 + i) for i in range(size)] for layer, size in enumerate(net.sizes)]
    for layer in range(1, last + 1):
        for i, j in np.ndindex(net.weights[layer - 1].shape):
            axes.plot(*zip(centers[layer - 1][i], centers[layer][j], strict=True), color=GRAY, linewidth=0.6, zorder=1)
            if layer > 1:
                _arrow(axes, centers[layer][j], centers[layer - 1][i], signals[layer - 2][i, j] / largest)
    for j, (x, y) in enumerate(centers[-1]):
        _arrow(axes, (x + 0.65, y), (x, y), deltas[-1][j] / largest, bend=0)
    for layer, places in enumerate(centers):
        title = f"layer {layer}\n{net.activations[layer - 1]}" if layer else "sample 1:\ninputs"
        axes.text(layer, -0.5, title, ha="center", va="bottom", fontsize=10)
        for i, (x, y) in enumerate(places):
            _unit(axes, x, y, backpropagation.activations[layer][0, i], deltas[layer - 1][i] if layer else None)
    for color, width, label in (
        (GRAY, 0.6, "weight"),
        (ORANGE, WIDEST, f"error signal +{largest:.2g}"),
        (BLUE, WIDEST, f"-{largest:.2g}"),
    ):
        axes.plot([], [], color=color, linewidth=width, label=label)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


def _unit(axes, x, y, activation, delta):
    axes.plot(x, y, "o", markersize=2 * UNIT_RADIUS, color="white", markeredgecolor="black", zorder=3)
    axes.text(x, y, _short(activation), ha="center", va="center", fontsize=8.5, zorder=4)
    if delta is not None:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8}
        axes.text(x, y + 0.37, f"δ = {_short(delta)}", ha="center", va="center", fontsize=8, zorder=4, bbox=box)


def _short(value):
    """Return the value in at most seven characters, so that it fits into the circle of a unit."""
    text = f"{value + 0.0:.3g}"  # 0 is added to lose the sign of -0
    text = text if len(text) <= 7 else f"{value:.1e}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def _arrow(axes, start, end, share, bend=0.08):
    """Draw an error signal as an arrow from `start` to `end`; `share` is its signed ratio to the largest one."""
    from matplotlib.patches import FancyArrowPatch

    arrow = FancyArrowPatch(
        start,
        end,
        arrowstyle="simple,tail_width=1,head_width=2.5,head_length=2",
        mutation_scale=WIDEST * abs(share),  # in points: the tail is as wide as this
        connectionstyle=f"arc3,rad={bend}",
        shrinkA=UNIT_RADIUS + 2,  # a gap of 2 points
        shrinkB=UNIT_RADIUS + 2,
        linewidth=0,
        facecolor=ORANGE if share > 0 else BLUE,
        alpha=0.85,
        zorder=2,
    )
    axes.add_patch(arrow)


def loss_curves(history, path):
    """Draw the training loss, and the validation loss where there is one, per epoch, and mark the best epoch.

    That is the epoch of the lowest validation loss or, without one, of the lowest training loss.

    Parameters
    ----------
    history : History
    path : str or path

    Raises
    ------
    ValueError
        If the history has no epochs.
    """
    figure, axes = _epoch_figure(history, path, "loss")
    curves = {"training": history.loss}
    if len(history.val_loss):
        curves["validation"] = history.val_loss
    for (name, losses), color in zip(curves.items(), COLORS, strict=False):
        _plot_per_epoch(axes, losses, color=color, label=name)
    watched, losses = list(curves.items())[-1]
    best = int(np.nanargmin(losses))
    label = f"best epoch: {best + 1}, {watched} loss {losses[best]:.4g}"
    axes.plot(best + 1, losses[best], "o", markersize=11, markerfacecolor="none", color="black", label=label)
    values = np.concatenate(list(curves.values()))
    if values.min() > 0 and values.max() > SPAN * values.min():
        axes.set_yscale("log")
    axes.legend(frameon=False)
    _save(figure, path)


def error_signals(history, path):
    """Draw the RMS of the error signals δ of every layer per epoch, on a log scale: vanishing ones lie far below.

    Parameters
    ----------
    history : History
    path : str or path

    Raises
    ------
    ValueError
        If the history has no epochs.
    """
    figure, axes = _epoch_figure(history, path, "RMS of δ")
    from matplotlib import colormaps

    axes.set_yscale("log")
    layers = np.array(history.delta_rms, dtype=float).T
    layers[layers == 0] = np.nan  # cannot be drawn on a log scale
    colors = colormaps["viridis"](np.linspace(0, 0.85, len(layers)))
    for rms, color in zip(layers, colors, strict=True):
        _plot_per_epoch(axes, rms, color=color)
    bottom, top = np.log10(axes.get_ylim())
    missing = max(0.0, 1 - (top - bottom))  # to one decade, so that small changes do not look large
    bottom, top = bottom - missing / 2, top + missing / 2
    axes.set_ylim(10**bottom, 10**top)
    heights = _spread(np.nan_to_num((np.log10(layers[:, -1]) - bottom) / (top - bottom)), gap=0.06)
    for layer, (height, color) in enumerate(zip(heights, colors, strict=True), 1):
        label = f"δ[{layer}]" + (" = 0" if np.isnan(layers[layer - 1, -1]) else "")
        axes.text(1.015, height, label, color=color, transform=axes.transAxes, va="center")
    _save(figure, path)


def _spread(heights, gap):
    """Return the heights of labels, moved down until they are `gap` apart."""
    order = np.argsort(heights)[::-1]
    spread = np.array(heights)
    for upper, lower in pairwise(order):
        spread[lower] = min(spread[lower], spread[upper] - gap)
    return spread


def decision_regions(predict, X, y, class_names, feature_names, path):
    """Draw the predictions over a plane of two inputs, and the samples on it.

    Parameters
    ----------
    predict : callable
        Function from (M, 2) inputs to (M, n_out) outputs. For classes, the largest output is the predicted class; a
        single output is the probability of the second of two.
    X : (N, 2) array
    y : (N,) array of class indices, or (N,) or (N, 1) targets of a regression
    class_names : list of str, or None for a regression
    feature_names : pair of str
    path : str or path

    Raises
    ------
    ValueError
        If `X` does not have two columns.
    """
    X, y = np.asarray(X), np.asarray(y)
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"X must have two columns to draw decision regions; got the shape {X.shape}")
    figure, axes = _figure(7, 5, path)
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.06 * np.where(high > low, high - low, 1)
    sides = np.linspace(low - margin, high + margin, GRID, dtype=X.dtype if X.dtype.kind == "f" else float)
    plane = np.stack(np.meshgrid(*sides.T), axis=-1)
    outputs = np.asarray(predict(plane.reshape(-1, 2)))
    if class_names is None:
        _surface(figure, axes, plane, outputs.reshape(GRID, GRID), X, y.ravel())
    else:
        _classes(axes, sides, outputs, X, y.ravel(), class_names)
    axes.set(xlabel=feature_names[0], ylabel=feature_names[1])
    _save(figure, path)


def _surface(figure, axes, plane, values, X, y):
    """Draw predictions of numbers as colored areas, and the samples in the same color scale."""
    bounds = {"vmin": min(values.min(), y.min()), "vmax": max(values.max(), y.max()), "cmap": "cividis"}
    areas = axes.contourf(plane[..., 0], plane[..., 1], values, levels=20, **bounds)
    axes.scatter(*X.T, c=y, s=22, edgecolors="white", linewidths=0.6, rasterized=True, **bounds)
    figure.colorbar(areas, ax=axes, label="predicted (areas), target (points)")


def _classes(axes, sides, outputs, X, y, class_names):
    """Draw predictions of classes as colored areas, and the samples in the color and marker of their class."""
    from matplotlib.colors import ListedColormap

    predicted = outputs.argmax(axis=1) if outputs.shape[1] > 1 else outputs[:, 0] >= 0.5
    colors = [COLORS[k % len(COLORS)] for k in range(len(class_names))]
    axes.imshow(
        predicted.reshape(GRID, GRID),
        extent=(*sides[[0, -1], 0], *sides[[0, -1], 1]),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(colors),
        vmin=-0.5,
        vmax=len(colors) - 0.5,
        alpha=0.3,
    )
    for k, (name, color) in enumerate(zip(class_names, colors, strict=True)):
        marker = MARKERS[(k + k // len(COLORS)) % len(MARKERS)]  # pairs of color and marker repeat after 64 classes
        style = {"color": color, "marker": marker, "edgecolors": "white", "linewidths": 0.6}
        axes.scatter(*X[y == k].T, s=30, label=name, rasterized=True, **style)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)


def roofline(points, peak, bandwidth, path):
    """Draw speed over arithmetic intensity, under the limits of CPU and memory (Williams et al. 2009).

    A color is a library, a marker a network; the marks of a network are side by side. They may lie above the limit of
    the memory, if the data of a step stay in the caches.

    Parameters
    ----------
    points : iterable of (network, library, intensity, rate)
        Two names (str), floating-point operations per byte, floating-point operations per second.
    peak : float
        Limit of the CPU, in floating-point operations per second.
    bandwidth : float
        Limit of the memory, in bytes per second.
    path : str or path

    Raises
    ------
    ValueError
        If there are no points.
    """
    points = list(points)
    if not points:
        raise ValueError("points has none to draw")
    figure, axes = _figure(7, 5, path)
    axes.set(xscale="log", yscale="log", xlabel="floating-point operations per byte", ylabel="GFLOP/s")
    networks, libraries = (list(dict.fromkeys(point[i] for point in points)) for i in (0, 1))
    colors = dict(zip(libraries, cycle(COLORS), strict=False))
    markers = dict(zip(networks, cycle(MARKERS), strict=False))
    for network, library, intensity, rate in points:
        aside = DODGE * (libraries.index(library) - (len(libraries) - 1) / 2)
        style = {"c": colors[library], "marker": markers[network], "edgecolors": "white", "linewidths": 0.6}
        dots = axes.scatter(intensity, rate / 1e9, s=45, zorder=3, **style)
        dots.set_offset_transform(dots.get_offset_transform() + _points_aside(figure, aside))
    for library in libraries:
        axes.plot([], [], color=colors[library], linewidth=5, label=library)
    for network in networks:
        axes.plot([], [], markers[network], color=GRAY, label=network)
    _roof(axes, [point[2] for point in points], peak, bandwidth)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    _save(figure, path)


def _roof(axes, intensities, peak, bandwidth):
    """Draw the two limits, over a range that includes all `intensities`, and label them."""
    ridge = peak / bandwidth
    left, right = min(*intensities, ridge) / 2, max(*intensities, ridge) * 2
    axes.plot([left, ridge, right], np.array([left * bandwidth, peak, peak]) / 1e9, color="black", linewidth=1.2)
    for label, place, aside, sides in (
        (f"FMA peak, {peak / 1e9:.3g} GFLOP/s", (right, peak), (0, 3), {"ha": "right", "va": "bottom"}),
        (f"memory, {bandwidth / 1e9:.3g} GB/s", (left, left * bandwidth), (3, -3), {"ha": "left", "va": "top"}),
    ):
        axes.annotate(label, (place[0], place[1] / 1e9), aside, textcoords="offset points", **sides)


def _points_aside(figure, points):
    """Return a transform that moves a marker to the right by `points` points (1/72 inch)."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _epoch_figure(history, path, ylabel):
    """Return a figure and its axes with epochs along x."""
    if not len(history.loss):
        raise ValueError("history has no epochs to draw")
    figure, axes = _figure(7, 4.5, path)
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.locator_params(axis="x", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
    margin = 0.02 * (len(history.loss) - 1) or 0.5
    axes.set_xlim(max(1 - margin, 0.5), len(history.loss) + margin)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _plot_per_epoch(axes, values, **style):
    axes.plot(range(1, len(values) + 1), values, marker="o" if len(values) < 20 else None, markersize=4, **style)


def _figure(width, height, path):
    """Return a figure of `width` x `height` inches and its axes, without changing the state of pyplot."""
    check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _save(figure, path):
    """Write the figure to a file, completely or not at all."""
    picture = io.BytesIO()
    figure.savefig(picture, format=Path(path).suffix[1:].lower(), dpi=150, bbox_inches="tight")
    replace(path, picture.getvalue())
