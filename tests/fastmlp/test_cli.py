"""The command line: what it prints and writes, and that bad input ends in one line and changes no file."""

import csv
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.panelwise.losses import LOSSES
from fastmlp_kernels.tile.peak import Peak

from fastmlp import MLP, Scaling, Trainer, losses, pace
from fastmlp.callbacks import Checkpoint
from fastmlp.cli import defaults, main, models, train
from fastmlp.cli.interruptions import Ending
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.schedules import SCHEDULES, Cosine
from fastmlp.tables import datasets, scores
from tests.trained import trained

COMMANDS = ("train", "predict", "evaluate", "export", "info", "trace", "bench", "tune", "compile")
NUMBER_LOSSES = [name for name in models.OUTPUT_ACTIVATIONS["regression"] if name != "poisson"]
QUICK = ("--hidden", "8", "--epochs", "10")


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The peak as if it were measured, which takes a second in every training; programs in other processes do it."""
    monkeypatch.setattr(train, "fma_peak", lambda *arguments: Peak(1e11, 1.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with three tables and a model of each: classes of two features, of mixed features, and a number."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).round(4)
    colour = rng.choice(["red", "green"], size=200)
    side = np.where(x[:, 0] > 0, "right", "left")
    write_csv(folder / "plane.csv", ("x", "y", "side"), zip(*x.T, side, strict=True))
    write_csv(folder / "mixed.csv", ("x", "colour", "side"), zip(x[:, 0], colour, side, strict=True))
    write_csv(folder / "slope.csv", ("x", "y", "height"), zip(*x.T, 3 * x[:, 0] - x[:, 1] + 100, strict=True))
    for name, target in (("plane", "side"), ("mixed", "side"), ("slope", "height")):
        table, model = str(folder / f"{name}.csv"), str(folder / f"{name}.safetensors")
        assert main(["train", table, "--target", target, "--hidden", "16", "--save", model]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """The folder, made the current one."""
    monkeypatch.chdir(folder)
    return folder


def command(*argv, **settings):
    """Start `python -m fastmlp` with these arguments, its output piped."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, "-m", "fastmlp", *argv], env=environment, **pipes, **settings)


def test_train_predict_evaluate_and_info_work_as_a_program(here, tmp_path):
    model = str(tmp_path / "model.safetensors")
    expected = {
        ("train", "mixed.csv", "--target", "side", *QUICK, "--save", model): "test accuracy",
        ("predict", model, "mixed.csv"): "side\n",
        ("evaluate", model, "mixed.csv"): "confusion",
        ("info", model): "network        3-8-2, relu, softmax output, 50 parameters, float32",
    }
    for argv, text in expected.items():
        process = command(*argv)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert text in out


def test_help_and_version_do_not_wait_for_numba():
    code = (
        "import sys; from fastmlp.cli import main\n"
        "for argv in (['--help'], ['--version'], ['train', '--help']):\n"
        "    try: main(argv)\n"
        "    except SystemExit: pass\n"
        "assert not {'numba', 'numpy'} & sys.modules.keys()"
    )
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as exit:
        main([name, "--help"])
    assert exit.value.code == 0
    assert f"usage: fastmlp {name}" in capsys.readouterr().out


def test_help_of_training_names_all_there_is_to_choose_from(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    named = set(re.findall(r"[.=\w]+", capsys.readouterr().out))
    trainable = {name for name, activation in ACTIVATIONS.items() if activation.differentiable}
    ways = {name for name, _ in LOSSES}
    ways |= {f"{name}={row.setting.upper()}" for (name, _), row in LOSSES.items() if row.setting}
    assert named >= {*datasets.BUNDLED, *datasets.EXTENSIONS, *trainable, *ways, *OPTIMIZERS, *SCHEDULES}
    assert not named & (ACTIVATIONS.keys() - trainable)


@pytest.mark.parametrize("task", models.OUTPUT_ACTIVATIONS)
def test_losses_of_a_task_go_with_their_outputs_and_targets(task):
    for name, output in models.OUTPUT_ACTIVATIONS[task].items():
        row = losses.row(losses.LOSSES[name](), output)
        of_classes = row.targets in (losses.CLASSES, losses.PROBABILITIES) or output == "sigmoid"
        assert of_classes == (task == "classification")
    assert {name for names in models.OUTPUT_ACTIVATIONS.values() for name in names} == losses.LOSSES.keys()


OPTIONS = [("--optimizer", name) for name in OPTIMIZERS]
OPTIONS += [("--activation", name) for name, entry in ACTIVATIONS.items() if entry.differentiable]


@pytest.mark.parametrize("option", OPTIONS, ids="=".join)
def test_optimizers_and_activations_are_accepted_by_name(here, option, capsys):
    assert main(["train", "plane.csv", "--target", "side", "--hidden", "8", "--epochs", "2", *option]) == 0
    assert option[1] in capsys.readouterr().out


def test_training_prints_scores_and_speed(here, capsys):
    assert main(["train", "plane.csv", "--target", "side", *QUICK]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["rows"] == "160 to train (10% of them to validate), 40 to test"
    assert lines["network"].startswith("2-8-2, relu, softmax output")
    assert "samples/s" in lines["speed"]
    assert "GFLOP/s" in lines["of"]


def test_seeds_give_mean_and_standard_deviation(here, capsys):
    assert main(["train", "slope.csv", "--target", "height", *QUICK, "--seed", "3", "--seeds", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    errors = [float(line.split("RMSE ")[1].split(",")[0]) for line in lines if line.startswith("seed")]
    assert [line.split()[1] for line in lines if line.startswith("seed")] == ["3", "4", "5"]
    mean, spread = (float(x) for x in next(line for line in lines if "test RMSE" in line).split()[2:5:2])
    np.testing.assert_allclose((mean, spread), (np.mean(errors), np.std(errors, ddof=1)), rtol=1e-3)


def test_same_seed_trains_the_same_model(here, tmp_path):
    for name in "ab":
        argv = ["train", "mixed.csv", "--target", "side", *QUICK, "--seed", "7", "--save", str(tmp_path / name)]
        assert main(argv) == 0
    for name in "ab":
        assert main(["predict", str(tmp_path / name), "mixed.csv", "--probabilities", "--output", f"{name}.out"]) == 0
    assert (here / "a.out").read_bytes() == (here / "b.out").read_bytes()


@pytest.mark.parametrize("loss", [*models.OUTPUT_ACTIVATIONS["classification"], "focal=1"])
def test_classes_are_learnt_with_every_loss(here, capsys, loss, tmp_path):
    model = str(tmp_path / "model.safetensors")
    assert main(["train", "plane.csv", "--target", "side", "--loss", loss, "--save", model]) == 0
    assert main(["evaluate", model, "plane.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert float(next(line for line in lines if line.startswith("accuracy")).split()[1]) > 0.95
    assert any(line.startswith(loss) for line in lines)


@pytest.mark.parametrize("loss", [*NUMBER_LOSSES, "huber=0.1", "quantile=0.9"])
def test_numbers_are_learnt_with_every_loss(here, loss, tmp_path, capsys):
    model = str(tmp_path / "model.safetensors")
    assert main(["train", "slope.csv", "--target", "height", "--loss", loss, "--save", model]) == 0
    assert main(["evaluate", model, "slope.csv"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line)
    assert float(lines["R2"]) > 0.9
    assert float(lines[loss]) < 0.1
    main(["predict", model, "slope.csv"])
    predicted = np.array(capsys.readouterr().out.split()[1:], float)
    truth = np.genfromtxt("slope.csv", delimiter=",", skip_header=1)[:, 2]
    if loss == "quantile=0.9":
        assert 0.8 < np.mean(truth < predicted) < 0.97


def test_counts_are_learnt(tmp_path, capsys):
    x = np.random.default_rng(0).uniform(-2, 2, 400)
    counts = np.random.default_rng(1).poisson(20 * np.exp(x))
    table, model = str(write_csv(tmp_path / "counts.csv", ("x", "n"), zip(x, counts, strict=True))), str(tmp_path / "m")
    argv = ["--target", "n", "--task", "regression", "--loss", "poisson", "--save", model]
    assert main(["train", table, *argv]) == 0
    capsys.readouterr()
    main(["predict", model, table])
    predicted = np.array(capsys.readouterr().out.split()[1:], float)
    np.testing.assert_allclose(np.log(predicted), np.log(20) + x, atol=0.5)


@pytest.mark.parametrize("option", [("--dropout", "0.5"), ("--label-smoothing", "0.2"), ("--class-weight", "balanced")])
def test_options_against_overfitting_and_for_rare_classes_change_training(here, option, tmp_path, capsys):
    rows = np.genfromtxt("plane.csv", delimiter=",", skip_header=1, dtype=str)
    uneven = write_csv(tmp_path / "uneven.csv", ("x", "y", "side"), rows[(rows[:, 2] == "left") | (rows[:, 0] > "0.9")])
    shown = []
    for options in ((), option):
        model = str(tmp_path / "model.safetensors")
        assert main(["train", str(uneven), "--target", "side", *QUICK, *options, "--save", model]) == 0
        shown.append(re.search("losses +(.*) at", capsys.readouterr().out)[1])
    assert shown[0] != shown[1]
    main(["info", model])
    name = option[0][2:].replace("-", " ")
    assert re.search(f"\n{name} +{option[1]}\n", capsys.readouterr().out)


def test_all_rows_can_train(here, capsys):
    argv = ["train", "plane.csv", "--target", "side", *QUICK, "--test-fraction", "0", "--validation-fraction", "0"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "200 to train, 0 to test" in out
    assert "test accuracy" not in out
    assert "validation" not in out
    assert main([*argv, "--seeds", "2"]) == 0
    assert "\nseed" not in capsys.readouterr().out


def test_early_stopping_reports_the_epoch_that_is_kept(here, tmp_path, capsys):
    model = str(tmp_path / "model.safetensors")
    argv = ["train", "slope.csv", "--target", "height", "--patience", "2", "--learning-rate", "0.1", "--save", model]
    assert main(argv) == 0
    kept, epochs = re.search(r"at epoch (\d+) of (\d+)", capsys.readouterr().out).groups()
    assert int(kept) == int(epochs) - 2
    main(["info", model])
    assert re.search(f"\nepoch kept +{kept}\n", capsys.readouterr().out)


def test_few_rows_are_trained_on_all_for_epochs_that_cross_validation_chooses(here, capsys):
    assert main(["train", "slope.csv", "--target", "height", "--hidden", "8", "--save", "few"]) == 0
    out = capsys.readouterr().out
    assert "160 to train, 40 to test" in out
    kept, trained = re.search(r"at epoch (\d+) of (\d+)\n", out).groups()
    assert kept == trained
    assert re.search("\nepochs +the best of 200 in cross-validation", out)
    rows = np.genfromtxt("slope.csv", delimiter=",", skip_header=1)
    net = MLP.load("few")
    assert net.metadata["training"]["epochs"] == int(kept)
    assert net.metadata["training"]["l2"] == defaults.l2(160) == pytest.approx(5 / 160, rel=0.05)
    assert len(rows) == 200


@pytest.mark.parametrize("option", [("--epochs", "7"), ("--patience", "3"), ("--validation-fraction", "0.3")])
def test_options_about_the_end_take_the_place_of_cross_validation(here, capsys, option):
    assert main(["train", "slope.csv", "--target", "height", "--hidden", "8", *option]) == 0
    out = capsys.readouterr().out
    assert "\nepochs" not in out
    assert f"160 to train ({'30%' if option[1] == '0.3' else '10%'} of them to validate)" in out


def test_cross_validation_scores_each_row_once_and_saves_a_model_of_all(here, capsys):
    argv = ["train", "slope.csv", "--target", "height", *QUICK, "--cross-validate", "4", "--save", "crossed"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "150 to train (10% of them to validate), 50 to test, in turns of 4" in out
    scores = [float(score) for score in re.findall(r"fold \d +test R2 (\S+),", out)]
    assert len(scores) == 4
    mean, spread = re.search(r"test R2 +(\S+) ± (\S+) over 4 folds", out).groups()
    assert float(mean) == pytest.approx(np.mean(scores), abs=1e-3)
    assert float(spread) == pytest.approx(np.std(scores, ddof=1), abs=1e-3)
    training = MLP.load("crossed").metadata["training"]
    assert (training["train_rows"], training["test_rows"]) == (200, 0)
    assert training["test_scores"]["R2"] == pytest.approx(float(mean), abs=1e-3)


def test_a_training_says_that_it_still_improves(here, capsys):
    argv = "train", "plane.csv", "--target", "side", "--hidden", "8"
    assert main([*argv, "--epochs", "8", "--batch-size", "16"]) == 0
    assert re.search("\nimproving +still, .* --epochs 16\n", capsys.readouterr().out)
    assert main([*argv, "--epochs", "100", "--learning-rate", "0.5", "--patience", "2"]) == 0
    assert "improving" not in capsys.readouterr().out


@pytest.mark.parametrize(("losses", "still"), [([9.0, 5, 4, 3], True), ([9.0, 5, 3, 2.99], False), ([3.0], False)])
def test_what_improved_in_the_last_quarter_still_improves(losses, still):
    assert defaults.still_improves(losses) == still


def test_training_ends_within_its_minutes(here, capsys):
    argv = "train", "plane.csv", "--target", "side", "--hidden", "8", "--patience", "100000000"
    assert main([*argv, "--epochs", "1000000", "--minutes", "0.01"]) == 0
    out = capsys.readouterr().out
    assert float(re.search(r"trained in +(\S+) s", out)[1]) < 0.6


def test_a_time_limit_lets_the_rate_fall_to_its_end():
    limit = defaults.TimeLimit(0.01 / 60, Cosine(1.0, epochs=10), 10)
    assert limit.rate(5, []) <= Cosine(1.0, epochs=10).rate(5, [])
    time.sleep(0.01)
    assert limit.rate(0, []) == 0


@pytest.mark.parametrize(("rows", "batch", "epochs"), [(100, 128, 200), (16_000, 128, 200), (120_000, 480, 100)])
def test_defaults_follow_from_the_number_of_rows(rows, batch, epochs):
    assert (defaults.batch_size(rows), defaults.epochs(rows, batch)) == (batch, epochs)
    assert defaults.epochs(10**8, defaults.batch_size(10**8)) == 20


@pytest.mark.parametrize(("name", "pictures"), [("plane", 3), ("slope", 3), ("mixed", 2)])
def test_plots_show_decision_regions_for_two_inputs_only(here, tmp_path, name, pictures):
    pytest.importorskip("matplotlib")
    target = "height" if name == "slope" else "side"
    assert main(["train", f"{name}.csv", "--target", target, *QUICK, "--plot", str(tmp_path)]) == 0
    names = [f"{name}-{kind}.png" for kind in ("decision-regions", "error-signals", "loss")]
    assert sorted(path.name for path in tmp_path.iterdir()) == names[-pictures:]


def test_columns_of_a_single_text_are_no_plane(tmp_path):
    pytest.importorskip("matplotlib")
    sides = ["left", "right"] * 20
    table = write_csv(tmp_path / "texts.csv", ("x", "y", "side"), [("a", "b", side) for side in sides])
    assert main(["train", str(table), "--target", "side", *QUICK, "--plot", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["texts-error-signals.png", "texts-loss.png"]


def test_predictions_are_written_as_csv(here, capsys):
    assert main(["predict", "plane.safetensors", "plane.csv", "--probabilities"]) == 0
    printed = capsys.readouterr().out
    assert main(["predict", "plane.safetensors", "plane.csv", "--probabilities", "--output", "predicted.csv"]) == 0
    assert (here / "predicted.csv").read_text() == printed
    header, *rows = csv.reader(printed.splitlines())
    assert header == ["side", "P(left)", "P(right)"]
    assert len(rows) == 200
    for side, left, right in rows:
        assert float(left) + float(right) == pytest.approx(1, abs=1e-5)
        assert side == ("left" if float(left) > float(right) else "right")


def test_numbers_are_predicted_in_the_units_of_the_target(here, capsys):
    assert main(["predict", "slope.safetensors", "slope.csv"]) == 0
    header, *predicted = capsys.readouterr().out.splitlines()
    truth = np.genfromtxt("slope.csv", delimiter=",", skip_header=1)[:, 2]
    assert header == "height"
    assert np.abs(np.array(predicted, float) - truth).mean() < 0.5


def test_evaluation_counts_what_prediction_says(here, capsys):
    main(["predict", "mixed.safetensors", "mixed.csv"])
    predicted = capsys.readouterr().out.split()[1:]
    truth = np.genfromtxt("mixed.csv", delimiter=",", skip_header=1, dtype=str)[:, 2]
    main(["evaluate", "mixed.safetensors", "mixed.csv"])
    lines = capsys.readouterr().out.splitlines()
    accuracy = next(line for line in lines if line.startswith("accuracy")).split()[1]
    assert float(accuracy) == pytest.approx(np.mean(predicted == truth), abs=1e-4)


def test_info_tells_how_a_model_was_trained(here, capsys):
    assert main(["info", "mixed.safetensors"]) == 0
    out = capsys.readouterr().out
    for line in (
        r"side \(classification\)",
        r"1 numeric \(standardized\), 1 categorical \(one-hot\)",
        "optimizer +adam",
    ):
        assert re.search(line, out)


def test_info_without_a_model_describes_the_machine(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for name in ("CPU", "instructions", "register tile", "threads", "kept blocks", "kernel cache", "versions"):
        assert f"\n{name} " in f"\n{out}"


def test_trace_prints_the_worked_example(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert main(["trace", "a", "--steps", "2", "--plot", str(tmp_path / "network.png")]) == 0
    assert "0.298371" in capsys.readouterr().out
    assert (tmp_path / "network.png").stat().st_size > 1000


BAD = {
    "no such data": "train nowhere.csv --target side",
    "no target": "train plane.csv",
    "no such target": "train plane.csv --target sid",
    "unknown task": "train plane.csv --target side --task clustering",
    "classes as numbers": "train plane.csv --target side --task regression",
    "unknown loss": "train plane.csv --target side --loss hinge",
    "setting of no loss": "train plane.csv --target side --loss cross_entropy=2",
    "setting out of range": "train slope.csv --target height --loss quantile=1.5",
    "setting that is no number": "train slope.csv --target height --loss huber=wide",
    "dropout of all": "train plane.csv --target side --dropout 1",
    "smoothing of all": "train plane.csv --target side --label-smoothing 1",
    "smoothing of numbers": "train slope.csv --target height --label-smoothing 0.1",
    "unknown class weight": "train plane.csv --target side --class-weight even",
    "class weight of numbers": "train slope.csv --target height --class-weight balanced",
    "negative counts": "train plane.csv --target x --loss poisson",
    "loss of another task": "train slope.csv --target height --loss cross_entropy",
    "unknown activation": "train plane.csv --target side --activation rel",
    "too many activations": "train plane.csv --target side --hidden 8 --activation relu,tanh",
    "threshold can not be trained": "train plane.csv --target side --activation threshold",
    "unknown optimizer": "train plane.csv --target side --optimizer adamant",
    "unknown schedule": "train plane.csv --target side --schedule cosin",
    "unknown dtype": "train plane.csv --target side --dtype float16",
    "learning rate of zero": "train plane.csv --target side --learning-rate 0",
    "learning rate not finite": "train plane.csv --target side --learning-rate nan",
    "batch of nothing": "train plane.csv --target side --batch-size 0",
    "no epochs": "train plane.csv --target side --epochs 0",
    "negative warmup": "train plane.csv --target side --warmup -1",
    "negative l2": "train plane.csv --target side --l2 -1",
    "negative norm": "train plane.csv --target side --clip-norm -1",
    "no patience": "train plane.csv --target side --patience 0",
    "no threads": "train plane.csv --target side --threads 0",
    "test part of all": "train plane.csv --target side --test-fraction 1",
    "validation of all": "train plane.csv --target side --validation-fraction 1",
    "diverging": "train slope.csv --target height --optimizer sgd --learning-rate 1e30",
    "no such folder": "train plane.csv --target side --save nowhere/model.safetensors",
    "a folder": "train plane.csv --target side --save .",
    "no folder for plots": "train plane.csv --target side --plot nowhere",
    "no such model": "predict nowhere.safetensors plane.csv",
    "not a model": "info plane.csv",
    "missing column": "predict plane.safetensors mixed.csv",
    "probabilities of numbers": "predict slope.safetensors slope.csv --probabilities",
    "a folder as output": "predict plane.safetensors plane.csv --output .",
    "unwritable output": "predict plane.safetensors plane.csv --output nowhere/out.csv",
    "no true target": "evaluate plane.safetensors slope.csv",
    "no such example": "trace nowhere",
    "unknown kind of picture": "trace a --plot network.txt",
    "no folder for a picture": "trace a --plot nowhere/network.png",
}


@pytest.mark.parametrize("argv", BAD.values(), ids=BAD.keys())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input_ends_in_one_line_and_changes_no_file(here, capsys, argv):
    before = {path: path.read_bytes() for path in here.iterdir()}
    argv = argv.split()
    if argv[0] == "train" and "--save" not in argv:
        argv += ["--save", "plane.safetensors"]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastmlp {argv[0]}: error: ")
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in here.iterdir()} == before


OF_TRAINING = {
    "--lr 0.1": "--lr is no option (did you mean '--learning-rate'?); accepted: those of `fastmlp train --help`",
    "--batch_size 32": "(did you mean '--batch-size'?)",
    "--Hidden-Layer-Sizes 8": "(did you mean '--hidden'?)",
    "--max-iter=9": "--max-iter is no option (did you mean '--epochs'?)",
    "--test-size 0.1": "(did you mean '--test-fraction'?)",
    "--n_jobs 1": "(did you mean '--threads'?)",
    "--verbose": "(none is needed: a terminal shows the progress)",
    "-o file": "(did you mean '--save'?)",
    "--colour red": "--colour is no option; accepted",
    "--hidden 8 8": "'8' is left over; accepted: lists with commas",
    "--hidden 8,x": "--hidden is '8,x'; accepted: whole numbers from 1 on, such as 128,64, or none",
    "--hidden 0": "accepted: whole numbers from 1 on",
    "--epochs 1e3": "--epochs is '1e3'; accepted: a whole number",
    "--l2 0,1": "--l2 is '0,1'; accepted: a number with a decimal point, such as 0.1",
    "--minutes 0": "accepted: a positive number",
    "--cross-validate 1": "accepted: a whole number from 2 on",
    "--types a": "--types is 'a'; accepted: columns and their types, such as zip=category",
    "--types a=number,b=number,a=category": "accepted: one type for each column, and 'a' has 2",
    "--save=": "--save is ''; accepted: the name of a file",
    "--na -x,y": "--na has no value; accepted: one, as in --na=VALUE if it begins with a hyphen",
}
UNPARSED = {f"train iris {options}": message for options, message in OF_TRAINING.items()} | {
    "train": "the following arguments are required: SOURCE",
    "trian iris": "COMMAND is 'trian' (did you mean 'train'?); accepted: train, predict",
    "predict model iris --lr 1": "--lr is no option; accepted",
    "predict model iris -o file": "(did you mean '--output'?)",
    "trace a --steps 0": "--steps is '0'; accepted",
}


@pytest.mark.parametrize(("argv", "message"), UNPARSED.items(), ids=UNPARSED)
def test_arguments_that_do_not_parse_end_in_one_line(capsys, argv, message):
    with pytest.raises(SystemExit) as exit:
        main(argv.split())
    said = capsys.readouterr().err
    assert (exit.value.code, said.count("\n")) == (2, 1)
    assert re.match("fastmlp( [a-z]+)?: error: ", said)
    assert message in said


TIMES = {"time": [1e9, 1e9 + 500, 1e9 + 900, 1e9 + 1300], "size": [1.0, 2.0, 3.0, 4.0]}


@pytest.mark.parametrize(("target", "far"), [(list("abab"), "time"), ([1e9, 1e9 + 1, 1e9, 1e9], "time, */ target")])
def test_columns_that_a_float_has_too_few_digits_for_are_named_with_the_option(tmp_path, capsys, target, far):
    _, _, net = trained(TIMES, target)
    net.save(tmp_path / "model")
    for suffix, kind in (".h", "float"), (".f90", "float"), (".safetensors", None):
        argv = ["export", str(tmp_path / "model"), str(tmp_path / f"net{suffix}")]
        assert main(argv) == 0
        said = capsys.readouterr().err
        assert (f"as those of {far}: results differ" in said and "--dtype float64" in said) == (kind is not None)
        assert main([*argv, "--dtype", "float64"]) == 0
        assert capsys.readouterr().err == ""
    assert "void net_predict(const double *inputs" in (tmp_path / "net.h").read_text()


def test_inputs_of_a_scaled_network_are_named_by_number(tmp_path, capsys):
    net = MLP([2, 1])
    net.scaling = Scaling([0, 2e9], [1, 1e3], [0], [1])
    net.save(tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "net.h")]) == 0
    assert "as those of input 1: results differ" in capsys.readouterr().err


def test_model_of_another_origin_is_refused(here, tmp_path, capsys):
    from fastmlp import MLP

    MLP([2, 2]).save(tmp_path / "bare.safetensors")
    assert main(["predict", str(tmp_path / "bare.safetensors"), "plane.csv"]) == 2
    assert "not trained by `fastmlp train`" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "bare.safetensors")]) == 0


def test_a_defect_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("fastmlp.cli.import_module", lambda name: None)
    with pytest.raises(AttributeError):
        main(["info"])


def test_missing_extra_is_named(here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.csv", None)
    assert main(["train", "plane.csv", "--target", "side"]) == 2
    assert "pip install 'fastmlp[data]'" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="SIGINT and SIGPIPE are of POSIX")
def test_interrupt_ends_training_in_one_line(here):
    endless = "train", "plane.csv", "--target", "side", "--epochs", "100000000"
    # A shell has its background jobs ignore SIGINT, and so would the process, as a child of such a job.
    process = command(*endless, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        while not process.stdout.readline().startswith("training"):
            pass
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, error.strip()) == (130, "fastmlp: interrupted")


def interrupted(monkeypatch, epoch):
    """Have Ctrl-C come after an epoch of a training with --minutes, counted from 0."""

    def press(self, trainer, ended):
        if ended == epoch:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(defaults.TimeLimit, "on_epoch_end", press)


def test_interrupt_saves_the_best_so_far(here, monkeypatch, capsys):
    interrupted(monkeypatch, 20)
    argv = "train", "plane.csv", "--target", "side", "--hidden", "8", "--epochs", "60", "--minutes", "9"
    assert main([*argv, "--learning-rate", "0.3", "--patience", "60", "--save", "best", "--seeds", "2"]) == 130
    printed, said = capsys.readouterr()
    kept = int(re.search(r"at epoch (\d+) of 21\n", printed)[1])
    assert re.search("\ninterrupted +in epoch 22; the best parameters so far are kept\n", printed)
    assert re.search("\nsaved +best\n", printed)
    assert said.strip() == "fastmlp: interrupted"
    net = MLP.load("best")
    assert net.metadata["training"]["epochs"] == kept < 21
    losses = net.metadata["training"]["losses"]
    assert losses["validation"] == pytest.approx(float(re.search(r"validation (\S+) at", printed)[1]), rel=1e-3)


def test_interrupt_before_anything_is_learnt_or_without_a_file_saves_nothing(here, monkeypatch, capsys):
    interrupted(monkeypatch, 3)
    argv = "train", "plane.csv", "--target", "side", "--hidden", "8", "--epochs", "60", "--minutes", "9"
    assert main(argv) == 130
    assert "losses" not in capsys.readouterr().out
    assert main([*argv, "--cross-validate", "3", "--save", "never"]) == 130
    assert not (here / "never").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGINT and SIGPIPE are of POSIX")
def test_reader_that_leaves_early_is_no_error(here):
    process = command("trace", "a", "--steps", "2")
    process.stdout.close()
    assert process.wait(timeout=120) == 141
    assert not [line for line in process.stderr if not line.startswith("compiling ")]


def test_digits_are_learnt_by_default(capsys):
    pytest.importorskip("sklearn")
    assert main(["train", "digits", "--seeds", "3"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    accuracy = next(float(words[2]) for words in lines if words[:2] == ["test", "accuracy"])
    assert accuracy >= 0.97


def test_scores_by_class_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, size=(2, 60))
    predicted[predicted == 3] = 2  # a class that is never predicted
    confusion = scores.confusion_matrix(truth, predicted, 4)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(truth, predicted))
    expected = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)[:3]
    np.testing.assert_allclose(scores.precision_recall_f1(confusion), expected)


CHECKPOINTED = (
    "train",
    "plane.csv",
    "--target",
    "side",
    "--hidden",
    "8",
    *("--batch-size", "16"),
    *("--epochs", "30"),
    *("--dropout", "0.1"),
)


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a matter of POSIX")
@pytest.mark.parametrize("slices", [1, 40, 101])
def test_a_training_that_sigterm_ended_goes_on_with_the_same_bits(here, monkeypatch, capsys, slices):
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)
    for name in "run", "parts":
        (here / f"{name}.safetensors").unlink(missing_ok=True)
    assert main([*CHECKPOINTED, "--save", "whole.safetensors"]) == 0
    seen, end = [], Checkpoint.on_slice_end

    def terminate(self, trainer, *arguments):
        seen.append(1)
        if len(seen) == slices:
            signal.raise_signal(signal.SIGTERM)
        end(self, trainer, *arguments)

    monkeypatch.setattr(Checkpoint, "on_slice_end", terminate)
    previous = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        main([*CHECKPOINTED, "--checkpoint", "run.safetensors", "--save", "parts.safetensors"])
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == previous
    assert "saved to run.safetensors: --resume goes on" in capsys.readouterr().err
    assert not (here / "parts.safetensors").exists()
    assert main([*CHECKPOINTED, "--checkpoint", "run.safetensors", "--resume", "--save", "parts.safetensors"]) == 0
    nets = [models.load(f"{name}.safetensors")[0] for name in ("whole", "parts")]
    assert nets[0].params.tobytes() == nets[1].params.tobytes()
    assert nets[0].metadata["training"]["losses"] == nets[1].metadata["training"]["losses"]


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a matter of POSIX")
def test_a_sigterm_that_compilation_swallows_ends_the_training_when_it_begins(tmp_path):
    path, previous = tmp_path / "run.safetensors", signal.getsignal(signal.SIGTERM)
    ending, trainer = Ending(path), Trainer(MLP([2, 3, 1]))
    try:
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit):
            trainer.fit(np.ones((4, 2)), np.ones(4), progress=False, callbacks=[ending])
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert Trainer.load(path).history.loss == trainer.history.loss == []


def test_resume_without_a_file_begins_anew(here):
    (here / "none.safetensors").unlink(missing_ok=True)
    assert main([*CHECKPOINTED, "--checkpoint", "none.safetensors", "--resume"]) == 0
    assert (here / "none.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--resume"], "--resume is given without --checkpoint"),
        (["--checkpoint", "run", "--seeds", "2"], "with --seeds 2"),
        (["--checkpoint", "no/run"], "no such folder"),
        (["--checkpoint", "slope.csv", "--resume"], "slope.csv cannot be read as a safetensors file"),
        (["--checkpoint", "plane.safetensors", "--resume"], "has a network only"),
    ],
)
def test_checkpoints_that_cannot_be_are_refused(here, capsys, options, words):
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert main([*CHECKPOINTED, *options]) == 2
    assert words in capsys.readouterr().err
    assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


def test_predictions_have_all_digits(here, tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=200)
    write_csv(tmp_path / "large.csv", ("x", "y"), zip(x, 1.7e9 + 100 * x, strict=True))
    train = ["train", str(tmp_path / "large.csv"), "--target", "y", *QUICK, "--save", str(tmp_path / "model")]
    assert main(train) == 0
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "model"), str(tmp_path / "large.csv")]) == 0
    values = capsys.readouterr().out.split()[1:]
    assert len(set(values)) > 190
    net, preprocessing = models.load(tmp_path / "model")
    table = datasets.load_features(tmp_path / "large.csv")
    outputs = preprocessing.decode_prediction(net.predict(preprocessing.transform(table, net.dtype)))
    np.testing.assert_array_equal(np.array(values, outputs.dtype), outputs)


def test_names_that_spreadsheets_would_run_are_text(here, tmp_path, capsys):
    rows = [(i, "=1+1" if i % 2 else "-5") for i in range(40)]
    write_csv(tmp_path / "names.csv", ("x", "@name"), rows)
    table, model = str(tmp_path / "names.csv"), str(tmp_path / "model")
    assert main(["train", table, "--target", "@name", "--task", "classification", *QUICK, "--save", model]) == 0
    capsys.readouterr()
    for options, names in ([], {"'=1+1", "-5"}), (["--formulas"], {"=1+1", "-5"}):
        assert main(["predict", model, table, *options]) == 0
        header, *cells = capsys.readouterr().out.split()
        assert header == ("@name" if options else "'@name")
        assert set(cells) <= names


@pytest.mark.filterwarnings("error")
def test_predictions_that_are_not_finite_in_the_units_of_the_target_are_an_error(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv("big.csv", ("a", "y"), ((i, i * 4e306) for i in range(40)))
    write_csv("new.csv", ("a", "y"), ((i, 1) for i in (1, 10**9)))
    options = ["--task", "regression", "--hidden", "none", "--epochs", "60", "--learning-rate", "0.05"]
    assert main(["train", "big.csv", "--target", "y", *options, "--save", "model"]) == 0
    for command in "predict", "evaluate":
        assert main([command, "model", "new.csv"]) == 2
        assert "predicts numbers that are not finite" in capsys.readouterr().err


def test_predictions_that_are_not_finite_are_an_error(here, tmp_path, capsys):
    net, _ = models.load("slope.safetensors")
    net.params[:] = 1e38
    net.save(tmp_path / "model")
    assert main(["predict", str(tmp_path / "model"), "slope.csv"]) == 2
    assert "predicts numbers that are not finite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        "train plane.csv --target side --save plane.csv",
        "train plane.csv --target side --checkpoint ./plane.csv",
        "train plane.csv --target side --save new --checkpoint new",
        "predict plane.safetensors plane.csv --output plane.csv",
        "predict plane.safetensors plane.csv --output plane.safetensors",
    ],
)
def test_what_is_read_is_not_overwritten(here, capsys, argv):
    before = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert main(argv.split()) == 2
    assert "; accepted: another file" in (said := capsys.readouterr().err) or "; accepted: two files" in said
    assert {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()} == before
