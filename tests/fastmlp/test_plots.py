"""Pictures: that they are written whole, and that what is drawn says what the numbers say."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from fastmlp import plots
from fastmlp.network import MLP
from fastmlp.teaching.examples import load_example

matplotlib = pytest.importorskip("matplotlib")
from matplotlib import image  # noqa: E402
from matplotlib.colors import to_hex  # noqa: E402
from matplotlib.patches import FancyArrowPatch  # noqa: E402

HISTORY = SimpleNamespace(
    loss=[1.0, 0.1, 0.01], val_loss=[1.1, 0.2, 0.3], delta_rms=[[0.001, 0.1], [0.002, 0.2], [0.003, 0.3]]
)
POINTS = np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture
def drawn(monkeypatch):
    """Return a list to which every figure is added when it is saved."""
    figures, save = [], plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: (figures.append(figure), save(figure, path)))
    return figures


def draw_network(path, example="a"):
    example = load_example(example)
    net = example.network()
    plots.network(net, example.backpropagate(net), path)


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_ending_chooses_the_kind_of_file(tmp_path, ending, start):
    draw_network(tmp_path / f"net{ending}")
    assert (tmp_path / f"net{ending}").read_bytes().startswith(start)
    assert len(list(tmp_path.iterdir())) == 1  # nothing half-written is left


@pytest.mark.parametrize("name", ["net.jpeg", "net"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"path must end in one of \.png, \.svg, \.pdf"):
        draw_network(tmp_path / name)


def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[plot\]'"):
        plots.loss_curves(HISTORY, tmp_path / "loss.png")


def test_arrows_are_as_wide_as_error_signals_are_large_and_coloured_by_sign(tmp_path, drawn):
    draw_network(tmp_path / "net.png")
    arrows = [patch for patch in drawn[0].axes[0].patches if isinstance(patch, FancyArrowPatch)]
    example = load_example("a")
    delta = example.backpropagate(example.network()).deltas[1][0]
    signals = np.concatenate([(example.weights[1] * delta).ravel(), delta])
    widths = np.array([arrow.get_mutation_scale() for arrow in arrows])
    np.testing.assert_allclose(widths / widths.max(), np.abs(signals) / np.abs(signals).max(), rtol=1e-12)
    colours = [to_hex(arrow.get_facecolor()).upper() for arrow in arrows]
    assert colours == [plots.ORANGE if signal > 0 else plots.BLUE for signal in signals]


def test_arrows_run_backwards(tmp_path, drawn):
    draw_network(tmp_path / "net.png", "c")
    arrows = [patch for patch in drawn[0].axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == 4 + 2 + 1
    assert all(arrow._posA_posB[0][0] > arrow._posA_posB[1][0] for arrow in arrows)


def test_units_show_their_activations_and_deltas(tmp_path, drawn):
    draw_network(tmp_path / "net.png")
    assert {"0.05", "0.593", "0.751", "δ = 0.00877", "δ = -0.0381"} <= set(texts(drawn[0].axes[0]))


@pytest.mark.parametrize("value", [-0.0, 1.0, -0.00012345, 123456.0, -98765.4, 1e-5, -0.0123])
def test_values_in_units_are_short(value):
    assert len(plots._short(value)) <= 7
    assert float(plots._short(value)) == pytest.approx(value, rel=0.05)
    assert plots._short(-0.0) == "0"


def test_networks_draw_up_to_twelve_units_in_a_layer(tmp_path):
    for size in (12, 13):
        net = MLP([2, size, 1], dtype="float64")
        passed = net.backpropagate(POINTS, POINTS[:, :1])
        if size == 12:
            plots.network(net, passed, tmp_path / "net.png")
            assert image.imread(tmp_path / "net.png")[..., :3].std() > 0.05  # not a blank sheet
        else:
            with pytest.raises(ValueError, match="up to 12 units in a layer"):
                plots.network(net, passed, tmp_path / "net.png")


def test_a_network_without_error_is_drawn(tmp_path, drawn):
    net = MLP([2, 2, 1], dtype="float64")
    plots.network(net, net.backpropagate(POINTS, net.predict(POINTS)), tmp_path / "net.png")
    assert {patch.get_mutation_scale() for patch in drawn[0].axes[0].patches} == {0}


@pytest.mark.parametrize(("validation", "best", "loss"), [([1.1, 0.2, 0.3], 2, 0.2), ([], 3, 0.01)])
def test_loss_curves_mark_the_best_epoch(tmp_path, drawn, validation, best, loss):
    plots.loss_curves(SimpleNamespace(loss=HISTORY.loss, val_loss=validation), tmp_path / "loss.png")
    lines = drawn[0].axes[0].lines
    assert len(lines) == (3 if validation else 2)
    np.testing.assert_array_equal(lines[0].get_ydata(), HISTORY.loss)
    assert lines[-1].get_xydata().tolist() == [[best, loss]]


@pytest.mark.parametrize(("loss", "scale"), [([1.0, 0.01], "log"), ([1.0, 0.9], "linear"), ([1.0, 0.0], "linear")])
def test_loss_curves_are_on_a_log_scale_where_they_span_it(tmp_path, drawn, loss, scale):
    plots.loss_curves(SimpleNamespace(loss=loss, val_loss=[]), tmp_path / "loss.png")
    assert drawn[0].axes[0].get_yscale() == scale


def test_a_history_without_epochs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no epochs"):
        plots.loss_curves(SimpleNamespace(loss=[], val_loss=[]), tmp_path / "loss.png")


def test_error_signals_have_a_line_and_a_label_per_layer(tmp_path, drawn):
    plots.error_signals(HISTORY, tmp_path / "delta.png")
    axes = drawn[0].axes[0]
    assert axes.get_yscale() == "log"
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.001, 0.002, 0.003], [0.1, 0.2, 0.3]]
    assert texts(axes) == ["δ[1]", "δ[2]"]


def test_small_changes_of_error_signals_look_small(tmp_path, drawn):
    plots.error_signals(
        SimpleNamespace(loss=[1.0, 0.9], delta_rms=[[0.1, 0.101], [0.102, 0.1]]), tmp_path / "delta.png"
    )
    bottom, top = drawn[0].axes[0].get_ylim()
    assert top / bottom == pytest.approx(10)


def test_labels_of_error_signals_do_not_overlap(tmp_path, drawn):
    history = SimpleNamespace(loss=[1.0], delta_rms=[[0.1, 0.1, 0.1001, 0.0]])
    plots.error_signals(history, tmp_path / "delta.png")
    axes = drawn[0].axes[0]
    extents = sorted((text.get_window_extent().y0, text.get_window_extent().y1) for text in axes.texts)
    assert all(below[1] <= above[0] for below, above in pairwise(extents))
    assert "δ[4] = 0" in texts(axes)


ROOFLINE = [
    (network, library, intensity, rate)
    for network, intensity in (("4-8-2 @ 16", 5), ("64-32-10 @ 200", 20), ("256-10 @ 9", 20.1))
    for library, rate in (("fastmlp", 9e10), ("numpy", 8.9e10), ("torch", 1e9))
]


def test_roofline_has_a_point_for_each_network_and_library(tmp_path, drawn):
    plots.roofline(ROOFLINE, 2e11, 2e10, tmp_path / "roofline.png")
    axes = drawn[0].axes[0]
    places = np.array([dots.get_offsets()[0] for dots in axes.collections])
    np.testing.assert_allclose(places, [(intensity, rate / 1e9) for *_, intensity, rate in ROOFLINE])
    roof = axes.lines[-1].get_xydata()
    np.testing.assert_allclose(roof[1], (10, 200))  # where memory delivers just enough
    np.testing.assert_allclose(roof[0, 1] / roof[0, 0], 20)
    assert roof[2, 1] == 200
    assert texts(axes) == ["FMA peak, 200 GFLOP/s", "memory, 20 GB/s"]


def test_colours_are_libraries_and_markers_networks(tmp_path, drawn):
    plots.roofline(ROOFLINE, 2e11, 2e10, tmp_path / "roofline.png")
    axes = drawn[0].axes[0]
    assert len({to_hex(dots.get_facecolor()[0]) for dots in axes.collections}) == 3
    assert len({dots.get_paths()[0].vertices.tobytes() for dots in axes.collections}) == 3
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["fastmlp", "numpy", "torch", "4-8-2 @ 16", "64-32-10 @ 200", "256-10 @ 9"]


def test_labels_of_a_roofline_overlap_nothing(tmp_path, drawn):
    plots.roofline(ROOFLINE, 2e11, 2e10, tmp_path / "roofline.png")
    axes = drawn[0].axes[0]
    labels = [*axes.texts, *axes.get_legend().get_texts()]
    extents = [label.get_window_extent() for label in labels]
    assert not any(a.overlaps(b) for i, a in enumerate(extents) for b in extents[:i])


def test_a_roofline_without_points_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none to draw"):
        plots.roofline([], 2e11, 2e10, tmp_path / "roofline.png")


@pytest.mark.parametrize("outputs", [1, 2])
def test_decision_regions_show_the_predicted_class(tmp_path, drawn, outputs):
    def predict(X):
        second = (X[:, :1] > 0).astype(float)
        return second if outputs == 1 else np.hstack([1 - second, second])

    labels = (POINTS[:, 0] > 0).astype(int)
    plots.decision_regions(predict, POINTS, labels, ["left", "right"], ["width", "height"], tmp_path / "regions.png")
    axes = drawn[0].axes[0]
    regions = axes.images[0].get_array()
    left, right, *_ = axes.images[0].get_extent()
    boundary = left + (right - left) * np.mean(regions[0] == 0)
    assert abs(boundary) < 0.02 * (right - left)
    assert [len(points.get_offsets()) for points in axes.collections] == [np.sum(labels == k) for k in (0, 1)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "height")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["left", "right"]


def test_decision_regions_of_a_regression_colour_targets_like_predictions(tmp_path, drawn):
    target = POINTS.sum(axis=1, keepdims=True)
    plots.decision_regions(
        lambda X: X.sum(axis=1, keepdims=True), POINTS, target, None, ["a", "b"], tmp_path / "surface.png"
    )
    surface, points = drawn[0].axes[0].collections
    np.testing.assert_array_equal(points.get_array(), target.ravel())
    assert surface.get_clim() == points.get_clim()
    assert len(drawn[0].axes) == 2  # with its colour bar


def test_decision_regions_need_two_inputs(tmp_path):
    with pytest.raises(ValueError, match=r"two columns.*\(40, 3\)"):
        plots.decision_regions(None, np.zeros((40, 3)), np.zeros(40), None, ["a", "b", "c"], tmp_path / "regions.png")
