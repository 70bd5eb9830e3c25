"""`fastmlp train`: trains a network on a table, scores it on rows held out, saves it with all it needs to predict."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastmlp import MLP, Trainer, losses, optimizers, plots
from fastmlp._kernels import bfloat16_peak, fma_peak
from fastmlp.callbacks import Checkpoint
from fastmlp.checks import choice, count
from fastmlp.cli import text
from fastmlp.cli.interruptions import Ending
from fastmlp.cli.models import OUTPUT_ACTIVATIONS, arrays, parse_loss
from fastmlp.cli.tables import for_training
from fastmlp.interrupts import interruptible
from fastmlp.precision import is_mixed
from fastmlp.replacing import check_writable
from fastmlp.schedules import SCHEDULES, Cosine, Warmup
from fastmlp.tables import datasets
from fastmlp.tables.preprocessing import Preprocessing, split
from fastmlp.tables.scores import score
from fastmlp.threads import available, limited
from fastmlp.trainer import usual_batch_size

CHECKPOINT_SECONDS = 60
# Options that are kept in the file of the model.
RECORDED = (
    *("source", "seed", "loss", "optimizer", "learning_rate", "schedule", "warmup", "l2", "clip_norm"),
    *("label_smoothing", "dropout", "precision", "class_weight"),
)


class Run(NamedTuple):
    """One training: its network and trainer, and the two parts of the table."""

    net: MLP
    trainer: Trainer
    preprocessing: Preprocessing
    train: datasets.Table
    test: datasets.Table


def run(args):
    """Run the command."""
    table = for_training(args)
    args.loss = args.loss or next(iter(OUTPUT_ACTIVATIONS[table.task]))
    loss = parse_loss(args.loss, table.task)
    if args.learning_rate is None:
        args.learning_rate = optimizers.resolve(args.optimizer).suggested_rate
    if args.resume and not args.checkpoint:
        raise ValueError("--resume is given without --checkpoint; accepted: both, or --checkpoint alone")
    if args.checkpoint and args.seeds > 1:
        raise ValueError(f"--checkpoint is given with --seeds {args.seeds}; accepted: with one seed")
    for path in filter(None, (args.save, args.checkpoint)):
        check_writable(path)
    if args.plot:
        plots.check(_picture(args, "loss"))
        check_writable(_picture(args, "loss"))

    runs = [_prepare(args, table, loss, seed) for seed in range(args.seed, args.seed + args.seeds)]
    text.facts(_setting(args, runs[0]))
    scores, before = [], _peak(args, runs[0])
    try:
        for one in runs:
            scores.append(_fit(args, one))
            if args.save and one is runs[0]:  # before anything is printed or drawn, which may fail
                _save(args, one, scores[0])
            if len(runs) > 1 and scores[-1]:
                text.facts([(f"seed {args.seed + len(scores) - 1}", f"test {text.scores(scores[-1])}")])
    finally:  # also if the model cannot be saved, or another seed fails
        if scores:
            text.facts(_results(args, runs[: len(scores)], scores, before))
    if args.save:
        text.facts([("saved", args.save)])
    if args.plot:
        _plot(args, runs[0])


def _prepare(args, table, loss, seed):
    """Return the `Run` of one seed, which determines the split, the initial weights, the order of rows and dropout."""
    labels = table.target if table.task == "classification" else None
    train, test = (table.rows(rows) for rows in split(table.n_rows, args.test_fraction, seed, labels=labels))
    output = OUTPUT_ACTIVATIONS[table.task][loss.name]
    properties = losses.row(loss, output)  # kind of the targets, outputs for each target
    preprocessing = Preprocessing.fit(train, centre_target=properties.targets != losses.COUNTS)
    sizes = [preprocessing.n_inputs, *args.hidden, properties.outputs * preprocessing.n_outputs]
    net = MLP(sizes, args.activation, output, dtype=args.dtype, seed=seed)
    trainer = Trainer(
        net,
        loss=loss,
        optimizer=args.optimizer,
        learning_rate=_schedule(args),
        batch_size=usual_batch_size(train.n_rows) if args.batch_size is None else args.batch_size,
        l2=args.l2,
        seed=seed,
        threads=args.threads,
        clip_norm=args.clip_norm,
        label_smoothing=args.label_smoothing,
        dropout=args.dropout,
        precision=args.precision,
    )
    return Run(net, trainer, preprocessing, train, test)


def _schedule(args):
    kind = SCHEDULES[choice("--schedule", args.schedule, SCHEDULES)]
    warmup = count("--warmup", args.warmup, least=0)
    settings = {"epochs": max(args.epochs - warmup, 1)} if kind is Cosine else {}
    schedule = kind(args.learning_rate, **settings)
    return Warmup(schedule, warmup) if warmup else schedule


def _fit(args, one):
    """Train, and return the scores of the test part by name: a dict, empty if that part is."""
    callbacks = []
    if args.checkpoint:
        checkpoint = Checkpoint(args.checkpoint, "each", every=args.epochs, seconds=CHECKPOINT_SECONDS, state=True)
        callbacks = [checkpoint, Ending(args.checkpoint)]
    one.trainer.fit(
        *arrays(one.preprocessing, one.train, one.trainer.loss, one.net.dtype),
        epochs=args.epochs,
        validation_fraction=args.validation_fraction or None,
        patience=args.patience,
        target_loss=args.target_loss,
        class_weight=args.class_weight,
        progress=sys.stderr.isatty(),
        callbacks=callbacks,
        resume=args.checkpoint if args.resume and args.checkpoint.exists() else False,
    )
    if not one.test.n_rows:
        return {}
    return score(one.preprocessing, one.test, one.net.predict(one.preprocessing.transform(one.test, one.net.dtype)))


def _setting(args, first):
    """Pairs (name, value) about data, network and training, of which `first` is the first Run."""
    target = first.preprocessing.target_name
    kind = f"{len(first.preprocessing.classes)} classes" if first.preprocessing.classes else "a number"
    yield "data", f"{args.source}: {len(first.train.features)} features to predict {target} ({kind})"
    validation = f" ({args.validation_fraction:.0%} of them to validate)" if args.validation_fraction else ""
    yield "rows", f"{first.train.n_rows:,} to train{validation}, {first.test.n_rows:,} to test"
    yield "network", text.network(first.net)
    rate = f"{args.optimizer} at {args.learning_rate:g}, {args.schedule}"
    mixed = f", {args.precision}" if args.precision != "float32" else ""
    yield "training", f"{args.loss}, {rate}, batches of {first.trainer.batch_size:,}{mixed}"


def _peak(args, one):
    """Peak of the products of a `Run`, measured now, on as many threads as it trains on."""
    with limited(args.threads):
        threads = available()
    mixed = is_mixed(args.precision, args.dtype, one.net.sizes)
    with interruptible():
        return bfloat16_peak(threads) if mixed else fma_peak(args.dtype, threads)


def _results(args, runs, scores, before):
    """Pairs (name, value) about the results: losses of the first run, scores over all, and the speed.

    `before` is the peak measured before the training.
    """
    history = runs[0].trainer.history
    kept, epoch = _losses(history)
    of_seed = f" (seed {args.seed})" if len(runs) > 1 else ""
    yield "losses", f"{text.scores(kept)} at epoch {epoch} of {len(history.loss)}{of_seed}"
    for name in scores[0]:
        values = np.array([named[name] for named in scores])
        spread = f" ± {values.std(ddof=1):.4f} over {len(runs)} seeds" if len(runs) > 1 else ""
        yield f"test {name}", f"{values.mean():.4f}{spread}"

    speed = np.median([rate for one in runs for rate in one.trainer.history.samples_per_second])
    flops = speed * runs[0].net.training_flops
    peak = before.joined(_peak(args, runs[0]))
    yield "trained in", f"{sum(sum(one.trainer.history.seconds) for one in runs):.2f} s"
    yield "speed", f"{speed:,.0f} samples/s, {flops / 1e9:.1f} GFLOP/s"
    mixed = is_mixed(args.precision, args.dtype, runs[0].net.sizes)
    kind = "bfloat16 peak" if mixed else f"FMA peak in {args.dtype}"
    yield "of peak", f"{flops / peak.rate:.1%} of this CPU's {kind}, measured before and after: {text.rate(peak)}"


def _losses(history):
    """Return the losses, by name, of the epoch whose parameters were kept, and its number counted from 1."""
    epoch = len(history.loss) - 1 if history.best_epoch is None else history.best_epoch
    both = {"training": history.loss, "validation": history.val_loss}
    return {name: curve[epoch] for name, curve in both.items() if curve}, epoch + 1


def _save(args, one, scores):
    """Save the network of a Run, with its preprocessing and a description of the training as metadata."""
    kept, epoch = _losses(one.trainer.history)
    one.net.metadata["preprocessing"] = one.preprocessing.to_dict()
    asked = {name: getattr(args, name) for name in RECORDED}
    one.net.metadata["training"] = asked | {
        "train_rows": one.train.n_rows,
        "test_rows": one.test.n_rows,
        "batch_size": one.trainer.batch_size,
        "epochs": epoch,  # the one whose parameters were kept, from 1; `fastmlp info` shows it as "epoch kept"
        "seconds": sum(one.trainer.history.seconds),
        "losses": kept,
        "test_scores": scores,
    }
    one.net.save(args.save)


def _plot(args, one):
    plots.loss_curves(one.trainer.history, _picture(args, "loss"))
    plots.error_signals(one.trainer.history, _picture(args, "error-signals"))
    columns = one.preprocessing.columns.values()
    if len(columns) == 2 and not any({"categories", "missing"} & column.keys() for column in columns):
        _plot_regions(one, _picture(args, "decision-regions"))
    text.facts([("drawn", _picture(args, "*"))])


def _plot_regions(one, path):
    """Draw the predictions over the plane of the two features, in the units of the table, and the training rows."""
    first, second = one.train.features
    classes = one.preprocessing.classes

    def predict(plane):
        table = one.train._replace(features={first: plane[:, 0], second: plane[:, 1]})
        outputs = one.net.predict(one.preprocessing.transform(table, one.net.dtype))
        return outputs if classes else one.preprocessing.decode_prediction(outputs)[:, None]

    X = np.column_stack(list(one.train.features.values())).astype(np.float64)
    y = one.preprocessing.encode_target(one.train) if classes else one.train.target
    plots.decision_regions(predict, X, y, classes or None, (first, second), path)


def _picture(args, kind):
    return args.plot / f"{Path(args.source).stem}-{kind}.png"
