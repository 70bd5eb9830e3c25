"""The commands and their options, declared with argparse. Nothing slow is imported, so that `--help` is instant.

Names of activations, losses and the like are not checked here: the library's own errors suggest the nearest name.
"""

import argparse
from pathlib import Path

from fastmlp import __version__
from fastmlp.cli import kinds, names
from fastmlp.cli.parsing import Parser

# Written out, as importing the modules that have these lists is slow; tests of the help compare them.
DATA = (
    "a .csv, .tsv, .parquet, .npy or .npz file; a .csv.gz, .csv.bz2 or .csv.zst file; - for CSV from standard input; "
    "or a bundled set: digits, iris, wine, breast_cancer, diabetes"
)
MODEL = "a file that `fastmlp train --save` wrote"
EXPORTS = (
    "a .onnx file, which takes the columns of the table; a .safetensors file of the parameters alone, under the names "
    "that PyTorch has for them; a .h file of C, or a .f90 file of Fortran with a C file, which predict one row"
)
PEERS = "numpy, torch, jax, scikit-learn"
MAX_BYTES = 4_000_000_000  # that of `tables.datasets`


def parser():
    """Return the parser of the whole command line; `args.command` is the name of the module that runs the command."""
    root = Parser(prog="fastmlp", description="Train and use multilayer perceptrons on the CPU.")
    root.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for declare in (_train, _predict, _evaluate, _export, _info, _trace, _bench, _tune, _compile):
        declare(commands)
    return root


def _train(commands):
    command = _command(commands, "train", "train a network on a table, and score it on rows held out")
    command.epilog = (
        "Text columns are one-hot encoded and numbers standardized, with values from the training rows alone, which "
        "are saved with the model. Missing values are imputed. "
        "Example: fastmlp train iris --hidden 32 --save iris.safetensors"
    )
    command.add_argument("source", metavar="SOURCE", help=DATA)

    data = command.add_argument_group("data")
    _option(
        data,
        "--target",
        kinds.text,
        None,
        "the column to predict, by name or position; needed for CSV and Parquet files",
    )
    _option(data, "--task", kinds.text, None, "classification or regression; by default, detected from the target")
    _option(data, "--features", kinds.listed, [], "the only columns to predict from, by name or position")
    _option(data, "--drop", kinds.listed, [], "columns to leave out")
    _option(
        data, "--id", kinds.listed, [], "columns that identify rows: not to predict from, but written with predictions"
    )
    _option(data, "--types", kinds.types, {}, "what columns are taken for: number or category; by default, found out")
    _option(data, "--test-fraction", kinds.number, 0.2, "share of the rows that is held out for the test score")
    few = "cross-validation that chooses the number of epochs"
    kept = f"share of the other rows that decide when to stop; by default 0.1, with fewer than 1000 rows {few}"
    _option(data, "--validation-fraction", kinds.number, None, kept)
    each = "hold each of so many parts of the rows out in turn for the score; --save then trains on all rows"
    _option(data, "--cross-validate", kinds.folds, None, each)
    _table_file(command)

    network = command.add_argument_group("network")
    _option(network, "--hidden", kinds.widths, "128,128", "units of each hidden layer, or none")
    _option(
        network,
        "--activation",
        kinds.names,
        "relu",
        f"activation of all hidden layers, or one for each: {', '.join(names.activations())}",
    )
    _option(network, "--dtype", kinds.text, "float32", "float32 or float64")

    training = command.add_argument_group("training")
    classes, numbers = map(_losses, names.losses().values())
    units = "in units of the target's standard deviation (poisson: of its mean)"
    help = f"for classes: {classes}; for numbers, {units}: {numbers}"
    _option(training, "--loss", kinds.text, None, help)
    _option(training, "--optimizer", kinds.text, "adam", ", ".join(names.optimizers()))
    _option(
        training,
        "--learning-rate",
        kinds.number,
        None,
        "initial learning rate; by default, one that suits the optimizer",
    )
    _option(
        training, "--schedule", kinds.text, "cosine", "learning rate: constant, step, cosine, inverse_scaling, plateau"
    )
    _option(training, "--warmup", kinds.whole, 0, "epochs in which the rate rises to the initial one")
    batches = "rows per update; by default, a 250th of those to train on, from 128 to 4096"
    _option(training, "--batch-size", kinds.whole, None, batches)
    passes = "passes over the training rows, at most; by default 20 to 200, for 25,000 updates"
    _option(training, "--epochs", kinds.whole, None, passes)
    _option(training, "--minutes", kinds.minutes, None, "time for the training, at most, but for its first epoch")
    penalty = "coefficient of the penalty on the squares of the weights; by default, 5 / rows to train on"
    _option(training, "--l2", kinds.number, None, penalty)
    _option(training, "--dropout", kinds.number, 0.0, "share of the hidden units that each update drops")
    _option(training, "--label-smoothing", kinds.number, 0.0, "share of each target that is spread over all classes")
    _option(training, "--class-weight", kinds.text, None, "balanced: all classes have the same total weight")
    _option(training, "--clip-norm", kinds.number, None, "scale larger gradients down to this norm")
    waits = "stop after so many epochs without improvement; by default, a quarter of the epochs"
    _option(training, "--patience", kinds.whole, None, waits)
    _option(training, "--target-loss", kinds.number, None, "stop once the loss is this low")
    precisions = "precision of matrix products: float32, or bf16-mixed on CPUs with matrix units for 16-bit numbers"
    _option(training, "--precision", kinds.text, "float32", precisions)
    _option(
        training, "--threads", kinds.whole, None, "number of threads, at most; by default, one for each logical CPU"
    )
    _option(
        training, "--seed", kinds.whole, 0, "seed for the split, the initial weights, the order of rows and dropout"
    )
    _option(
        training, "--seeds", kinds.positive, 1, "number of seeds to train with; prints mean and spread, saves the first"
    )

    output = command.add_argument_group("output")
    _option(output, "--save", kinds.path, None, "write the model to this file, say model.safetensors")
    _option(
        output, "--checkpoint", kinds.path, None, "keep all of the training in this file, once a minute and at SIGTERM"
    )
    resumed = "go on from the file of --checkpoint, if there is one, with the same results as without the interruption"
    output.add_argument("--resume", action="store_true", help=resumed)
    pictures = (
        "draw loss, error signals and, for two features, decision regions into this folder (by default, the current)"
    )
    output.add_argument("--plot", type=kinds.path, nargs="?", const=Path(), metavar="FOLDER", help=pictures)


def _predict(commands):
    command = _command(commands, "predict", "predict the target of every row of a table, as CSV")
    command.add_argument("model", type=kinds.path, metavar="MODEL", help=MODEL)
    command.add_argument("data", metavar="DATA", help=DATA)
    _option(command, "--output", kinds.path, None, "write to this file instead of standard output")
    command.add_argument("--probabilities", action="store_true", help="add a column for each class")
    kept = "write names that a spreadsheet would run as formulas as they are, not after a '"
    command.add_argument("--formulas", action="store_true", help=kept)
    _option(command, "--precision", kinds.text, "float32", "precision of matrix products: float32 or bf16-mixed")
    ids = "columns to write before the predictions, by name or position; by default, those of --id in training"
    _option(command, "--id", kinds.listed, None, ids)
    _table_file(command, "; by default, as in training")


def _evaluate(commands):
    command = _command(commands, "evaluate", "score a model on a table with the true target")
    command.add_argument("model", type=kinds.path, metavar="MODEL", help=MODEL)
    command.add_argument("data", metavar="DATA", help=DATA)
    _option(command, "--target", kinds.text, None, "the column of true values; by default, named as in training")
    _table_file(command, "; by default, as in training")


def _export(commands):
    command = _command(commands, "export", "write a model to a file that other programs read")
    command.epilog = "Example: fastmlp export model.safetensors model.onnx"
    command.add_argument("model", type=kinds.path, metavar="MODEL", help="a saved model")
    command.add_argument("output", type=kinds.path, metavar="FILE", help=EXPORTS)
    numbers = "float32 or float64, of the numbers in the file and of its inputs; by default, as in the model"
    _option(command, "--dtype", kinds.text, None, numbers)


def _info(commands):
    command = _command(commands, "info", "describe a saved model or, without one, this machine")
    command.add_argument("model", type=kinds.path, nargs="?", metavar="MODEL", help="a saved model")


def _trace(commands):
    command = _command(commands, "trace", "show backpropagation through a small network number by number")
    example = "a, a-biases, b, c, or a JSON file with a network, its data and how to train it"
    command.add_argument("example", metavar="EXAMPLE", help=example)
    _option(command, "--steps", kinds.positive, None, "number of updates; by default, that of the example")
    _option(command, "--plot", kinds.path, None, "draw the network with its activations and error signals")


def _bench(commands):
    command = _command(commands, "bench", "time training steps next to this CPU's peak and to other libraries")
    command.epilog = (
        "Each library trains in its own process, and they take turns. The table is Markdown. "
        "Example: fastmlp bench --layers 784,128,10 --batch-size 4096 --peers torch"
    )
    _option(
        command, "--layers", kinds.widths, None, "inputs, hidden units, outputs of a network; by default, seven cases"
    )
    _option(command, "--batch-size", kinds.positive, None, "rows per step of that network; by default, 4096")
    _option(command, "--peers", kinds.peers, None, f"{PEERS}, or none; by default, those installed")
    _option(command, "--dtype", kinds.text, "float32", "float32 or float64")
    precisions = "precision of fastmlp's products: float32, or bf16-mixed next to peers that multiply bfloat16 numbers"
    _option(command, "--precision", kinds.text, "float32", precisions)
    _option(
        command,
        "--threads",
        kinds.whole,
        None,
        "number of threads of each library; by default, one for each logical CPU",
    )
    _option(command, "--rounds", kinds.positive, 5, "number of turns of each library, whose median counts")
    _option(
        command, "--plot", kinds.path, None, "draw speed over arithmetic intensity, with the limits of CPU and memory"
    )


def _tune(commands):
    command = _command(commands, "tune", "measure which sizes train fastest on this machine, and keep them for it")
    command.epilog = (
        "Takes a minute or two. The sizes change no result, only speed. They are in a file beside the kernel cache, "
        "which `fastmlp info` shows; without the file, they are as by default."
    )


def _compile(commands):
    command = _command(commands, "compile", "compile the kernels ahead of time, for an image or the nodes of a cluster")
    command.epilog = (
        "The environment variable FASTMLP_CACHE_DIR chooses the folder, whose files serve all machines with this CPU."
    )
    _option(command, "--dtype", kinds.text, "float32", "float32 or float64")
    _option(command, "--precision", kinds.text, "float32", "precision of matrix products: float32 or bf16-mixed")


def _command(commands, name, summary):
    return commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")


def _table_file(command, default=""):
    """Add the options about a file. `default` is what the help says where a model knows them from its training."""
    found = default or "; by default, found out"
    file = command.add_argument_group("file")
    _option(file, "--delimiter", kinds.character, None, f"character between the cells of CSV, or tab{found}")
    _option(file, "--decimal", kinds.character, None, f"character before fractions, . or ,{found}; none: found out")
    groups = f"character between groups of three digits, as ,{default or '; by default, none'}; none: there is none"
    _option(file, "--thousands", kinds.character, None, groups)
    _option(file, "--encoding", kinds.text, None, f"utf-8, utf-16, latin-1, cp1252, ...{found}")
    na = "texts that stand for missing values, besides the usual: empty cells, NA, NaN, null, None, ?"
    _option(file, "--na", kinds.listed, None, na + default)
    usual = f"whether the usual texts for missing values are such, too{default or '; by default, they are'}"
    file.add_argument("--default-na", action=argparse.BooleanOptionalAction, default=None, help=usual)
    header = f"whether the first line names the columns, called 0, 1, ... if not{default or '; by default, it does'}"
    file.add_argument("--header", action=argparse.BooleanOptionalAction, default=None, help=header)
    limit = "largest size in bytes of a compressed table, or standard input, once it is uncompressed"
    _option(file, "--max-bytes", kinds.positive, MAX_BYTES, limit)


def _option(group, flag, kind, default, text):
    """Add an option with a value of one of the `kinds` to a parser or group; the help `text` ends with the default."""
    shown = "" if default in (None, [], {}) else " (default: %(default)s)"
    group.add_argument(flag, type=kind, default=default, metavar=kind.metavar, help=text + shown)


def _losses(table):
    """Return text with the values that `--loss` accepts for a task, the default first (see `names.losses`)."""
    ways = []
    for name, loss in table.items():
        ways.append(name + " (for counts)" * (loss.targets == "counts") + " (default)" * (not ways))
        ways += [f"{name}={loss.setting.upper()}"] * bool(loss.setting)
    return ", ".join(ways)
