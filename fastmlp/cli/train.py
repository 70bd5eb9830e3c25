"""`fastmlp train`: trains a network on a table, scores it on rows held out, saves it with all it needs to predict."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastmlp import MLP, Trainer, group, losses, optimizers, plots
from fastmlp._kernels import bfloat16_peak, fma_peak
from fastmlp.callbacks import Checkpoint
from fastmlp.checks import choice, count
from fastmlp.cli import defaults, text
from fastmlp.cli.interruptions import Ending
from fastmlp.cli.models import OUTPUT_ACTIVATIONS, arrays, parse_loss
from fastmlp.cli.tables import for_training
from fastmlp.initializers import draw_with_biases
from fastmlp.interrupts import interruptible
from fastmlp.precision import is_mixed
from fastmlp.replacing import check_writable
from fastmlp.schedules import SCHEDULES, Cosine, Warmup
from fastmlp.tables import datasets
from fastmlp.tables.columns import is_number
from fastmlp.tables.preprocessing import Preprocessing, folds, split
from fastmlp.tables.scores import score
from fastmlp.threads import available, limited

CHECKPOINT_SECONDS = 60
METRICS = {"classification": ["accuracy", "auc"], "regression": ["r2"]}  # shown after each epoch
# Options that are kept in the file of the model.
RECORDED = (
    *("source", "seed", "loss", "optimizer", "learning_rate", "schedule", "warmup", "l2", "clip_norm"),
    *("label_smoothing", "dropout", "precision", "class_weight"),
)


@dataclass
class Run:
    """One training, on one division of the table.

    Attributes
    ----------
    seed : int
        Seed for the initial weights, the order of rows and dropout.
    net : MLP
    preprocessing : Preprocessing
    train, test : Table
        Rows to train on, and rows held out for the score.
    limit : TimeLimit or None
    trainer : Trainer
    epochs : int
        Largest number of epochs.
    scores : dict
        Scores of the rows held out by name, empty before the training, or if there are none.
    interrupted : bool
        Whether Ctrl-C has ended the training.
    """

    seed: int
    net: MLP
    preprocessing: Preprocessing
    train: datasets.Table
    test: datasets.Table
    limit: defaults.TimeLimit | None
    trainer: Trainer
    epochs: int
    scores: dict = field(default_factory=dict)
    interrupted: bool = False


def run(args):
    """Run the command. If a launcher such as `mpiexec` has started several processes, they train together.

    Each reads the table, and the first prints and writes.
    """
    ranks = group.of(group.world())
    if ranks.rank:
        text.silence()
    with ranks:
        _run(args, ranks)


def _run(args, ranks):
    """Run the command on one of several ranks, or alone."""
    table = for_training(args)
    args.loss = args.loss or next(iter(OUTPUT_ACTIVATIONS[table.task]))
    loss = parse_loss(args.loss, table.task)
    if args.learning_rate is None:
        args.learning_rate = optimizers.resolve(args.optimizer).suggested_rate
    _check(args, ranks)
    parts = _parts(args, table)
    _set_defaults(args, len(parts[0][1]))
    runs = [_prepare(args, table, loss, *part) for part in parts]
    model = runs[-1 if args.cross_validate else 0]  # the one that is saved
    text.facts(_setting(args, runs[0]))
    ended, before = [], _peak(args, runs[0])
    try:
        for one in runs:
            _fit(args, one)
            ended.append(one)
            if args.save and one is model and not ranks.rank:  # before anything is printed or drawn, which may fail
                _save(args, one, _mean_scores(ended))
            if len(runs) > 1 and one.scores:
                part = f"fold {len(ended)}" if args.cross_validate else f"seed {one.seed}"
                text.facts([(part, f"test {text.scores(one.scores)}")])
            if one.interrupted:
                break
    finally:  # also if the model cannot be saved, or another seed fails
        if ended:
            text.facts(_results(args, ranks, ended, before))
    if args.save and model in ended:
        text.facts([("saved", args.save)])
    if args.plot and not ranks.rank:
        _plot(args, runs[0])
    if ended[-1].interrupted:
        raise KeyboardInterrupt


def _check(args, ranks):
    """Raise an exception if options contradict each other, or a file could not be written."""
    if args.resume and not args.checkpoint:
        raise ValueError("--resume is given without --checkpoint; accepted: both, or --checkpoint alone")
    if args.checkpoint and args.seeds > 1:
        raise ValueError(f"--checkpoint is given with --seeds {args.seeds}; accepted: with one seed")
    if args.cross_validate and (args.seeds > 1 or args.checkpoint or args.plot):
        raise ValueError("--cross-validate is given with --seeds, --checkpoint or --plot; accepted: without")
    if args.minutes is not None and ranks.size > 1:
        raise ValueError(f"--minutes is given on {ranks.size} ranks, whose clocks differ; accepted: with one process")
    for path in filter(None, (args.save, args.checkpoint)):
        check_writable(path, args.source)
    if args.save and args.save == args.checkpoint:
        raise ValueError(f"--save and --checkpoint are both {args.save}; accepted: two files")
    if args.plot:
        plots.check(_picture(args, "loss"))
        check_writable(_picture(args, "loss"))


def _parts(args, table):
    """Divisions of the table, each with its seed: triples (seed, rows to train on, rows to test)."""
    labels = table.target if table.task == "classification" else None
    if labels is not None and len(set(labels)) == len(labels):
        as_number = "--task regression, " * all(map(is_number, labels))
        found = f"each of {len(labels):,} rows has a class of its own in {table.target_name!r}"
        raise ValueError(f"{table.source}: {found}; accepted: {as_number}another --target")
    if not args.cross_validate:
        seeds = range(args.seed, args.seed + args.seeds)
        return [(seed, *split(table.n_rows, args.test_fraction, seed, labels=labels)) for seed in seeds]
    parts = [(args.seed, *part) for part in folds(table.n_rows, args.cross_validate, args.seed, labels=labels)]
    return [*parts, (args.seed, np.arange(table.n_rows), np.arange(0))] if args.save else parts


def _set_defaults(args, rows):
    """Set the options that follow from the number of rows to train on, and have not been given.

    `args.few` becomes whether the number of epochs is chosen by cross-validation, as there are few rows.
    """
    free = all(getattr(args, name) is None for name in ("epochs", "patience", "target_loss", "validation_fraction"))
    args.few = free and 2 * defaults.FOLDS <= rows < defaults.FEW_ROWS
    if args.batch_size is None:
        args.batch_size = defaults.batch_size(rows)
    if args.epochs is None:
        args.epochs = defaults.epochs(rows, args.batch_size)
    if args.l2 is None:
        args.l2 = defaults.l2(rows)
    if args.validation_fraction is None:
        args.validation_fraction = 0.0 if args.few else defaults.VALIDATION_FRACTION
    if args.patience is None and args.validation_fraction:
        args.patience = max(1, args.epochs // defaults.PATIENCE)


def _prepare(args, table, loss, seed, train, test):
    """Return the `Run` of one division of the table."""
    train, test = table.rows(train), table.rows(test)
    output = OUTPUT_ACTIVATIONS[table.task][loss.name]
    properties = losses.row(loss, output)  # kind of the targets, outputs for each target
    preprocessing = Preprocessing.fit(train, centre_target=properties.targets != losses.COUNTS)
    sizes = [preprocessing.n_inputs, *args.hidden, properties.outputs * preprocessing.n_outputs]
    net = MLP(sizes, args.activation, output, dtype=args.dtype, init="zeros")
    draw_with_biases(net, net.activations, np.random.default_rng(seed))
    schedule = _schedule(args)
    limit = None if args.minutes is None else defaults.TimeLimit(args.minutes, schedule, args.epochs)
    trainer = _trainer(args, net, loss, seed, limit or schedule)
    return Run(seed, net, preprocessing, train, test, limit, trainer, args.epochs)


def _trainer(args, net, loss, seed, schedule):
    return Trainer(
        net,
        loss=loss,
        optimizer=args.optimizer,
        learning_rate=schedule,
        batch_size=args.batch_size,
        l2=args.l2,
        seed=seed,
        threads=args.threads,
        clip_norm=args.clip_norm,
        label_smoothing=args.label_smoothing,
        dropout=args.dropout,
        precision=args.precision,
        group=group.world(),
    )


def _part(X, y):
    """Rows of this rank, of all rows."""
    ranks = group.of(group.world())
    own = slice(len(X) * ranks.rank // ranks.size, len(X) * (ranks.rank + 1) // ranks.size)
    return X[own], y[own]


def _schedule(args):
    kind = SCHEDULES[choice("--schedule", args.schedule, SCHEDULES)]
    warmup = count("--warmup", args.warmup, least=0)
    settings = {"epochs": max(args.epochs - warmup, 1)} if kind is Cosine else {}
    schedule = kind(args.learning_rate, **settings)
    return Warmup(schedule, warmup) if warmup else schedule


def _fit(args, one):
    """Train, and set the scores of the rows held out. Ctrl-C ends the training, if the network is to be saved."""
    trainer, callbacks = one.trainer, [one.limit] if one.limit else []
    if args.checkpoint:
        checkpoint = Checkpoint(args.checkpoint, "each", every=args.epochs, seconds=CHECKPOINT_SECONDS, state=True)
        callbacks += [checkpoint, Ending(args.checkpoint)]
    X, y = arrays(one.preprocessing, one.train, trainer.loss, one.net.dtype)
    if args.few:
        one.epochs = _best_epochs(args, one, X, y)
    try:
        trainer.fit(
            *_part(X, y),
            epochs=one.epochs,
            validation_fraction=args.validation_fraction or None,
            patience=args.patience,
            target_loss=args.target_loss,
            class_weight=args.class_weight,
            progress=sys.stderr.isatty(),
            metrics=METRICS[one.preprocessing.task] if args.validation_fraction else (),
            callbacks=callbacks,
            resume=args.checkpoint if args.resume and args.checkpoint.exists() else False,
        )
    except KeyboardInterrupt:
        if not args.save or not trainer.history.loss:
            raise
        trainer.restore_best()
        one.interrupted = True
    if one.test.n_rows:
        outputs = one.net.predict(one.preprocessing.transform(one.test, one.net.dtype))
        one.scores = score(one.preprocessing, one.test, outputs)


def _best_epochs(args, one, X, y):
    """Return the number of epochs after which the loss of rows held out is lowest, in the mean of several divisions."""
    loss, initial, curves = parse_loss(args.loss, one.preprocessing.task), one.net.params.copy(), []
    labels = one.train.target if one.preprocessing.classes else None
    for train, held in folds(len(X), defaults.FOLDS, one.seed, labels=labels):
        trainer = _trainer(args, one.net, loss, one.seed, _schedule(args))
        fit = {"validation_data": _part(X[held], y[held]), "class_weight": args.class_weight, "progress": False}
        curves.append(trainer.fit(*_part(X[train], y[train]), one.epochs, **fit).val_loss)
        one.net.params[:] = initial
    return 1 + int(np.mean(curves, axis=0).argmin())


def _setting(args, first):
    """Pairs (name, value) about data, network and training, of which `first` is the first Run."""
    target = first.preprocessing.target_name
    kind = f"{len(first.preprocessing.classes)} classes" if first.preprocessing.classes else "a number"
    yield "data", f"{args.source}: {len(first.train.features)} features to predict {target} ({kind})"
    validation = f" ({args.validation_fraction:.0%} of them to validate)" if args.validation_fraction else ""
    folds = f", in turns of {args.cross_validate}" if args.cross_validate else ""
    yield "rows", f"{first.train.n_rows:,} to train{validation}, {first.test.n_rows:,} to test{folds}"
    yield "network", text.network(first.net)
    rate = f"{args.optimizer} at {args.learning_rate:g}, {args.schedule}"
    mixed = f", {args.precision}" if args.precision != "float32" else ""
    yield "training", f"{args.loss}, {rate}, l2 {args.l2:g}, batches of {args.batch_size:,}{mixed}"


def _peak(args, one):
    """Peak of the products of a `Run`, measured now, on as many threads as it trains on."""
    with limited(args.threads):
        threads = available()
    mixed = is_mixed(args.precision, args.dtype, one.net.sizes)
    with interruptible():
        return bfloat16_peak(threads) if mixed else fma_peak(args.dtype, threads)


def _results(args, ranks, runs, before):
    """Pairs (name, value) about the results: losses of the first run, scores over all, and the speed.

    `before` is the peak measured before the training.
    """
    first, history = runs[0], runs[0].trainer.history
    kept, epoch = _losses(history)
    of_first = "" if len(runs) == 1 else " (fold 1)" if args.cross_validate else f" (seed {first.seed})"
    yield "losses", f"{text.scores(kept)} at epoch {epoch} of {len(history.loss)}{of_first}"
    if args.few:
        yield "epochs", f"the best of {args.epochs} in cross-validation of the rows to train"
    for name, mean in _mean_scores(runs).items():
        values = [one.scores[name] for one in runs if one.scores]
        parts = f"{len(values)} {'folds' if args.cross_validate else 'seeds'}"
        yield f"test {name}", f"{mean:.4f}{f' ± {np.std(values, ddof=1):.4f} over {parts}' if len(values) > 1 else ''}"
    if first.interrupted:
        yield "interrupted", f"in epoch {len(history.loss) + 1}; the best parameters so far are kept"
    elif defaults.still_improves(history.val_loss):
        if len(history.loss) == first.epochs:
            yield "improving", f"still, at the end: more may be gained with --epochs {2 * first.epochs}"
        elif first.limit and first.limit.is_over:
            yield "improving", f"still, at the end: more may be gained with --minutes {2 * args.minutes:g}"

    speed = np.median([rate for one in runs for rate in one.trainer.history.samples_per_second])
    flops = speed * runs[0].net.training_flops
    yield "trained in", f"{sum(sum(one.trainer.history.seconds) for one in runs):.2f} s"
    yield "speed", f"{speed:,.0f} samples/s, {flops / 1e9:.1f} GFLOP/s"
    if ranks.size > 1:
        yield "by", f"{ranks.size} processes"
        return
    peak = before.joined(_peak(args, runs[0]))
    mixed = is_mixed(args.precision, args.dtype, runs[0].net.sizes)
    kind = "bfloat16 peak" if mixed else f"FMA peak in {args.dtype}"
    yield "of peak", f"{flops / peak.rate:.1%} of this CPU's {kind}, measured before and after: {text.rate(peak)}"


def _losses(history):
    """Return the losses, by name, of the epoch whose parameters were kept, and its number counted from 1."""
    epoch = len(history.loss) - 1 if history.best_epoch is None else history.best_epoch
    both = {"training": history.loss, "validation": history.val_loss}
    return {name: curve[epoch] for name, curve in both.items() if curve}, epoch + 1


def _mean_scores(runs):
    """Scores of the rows held out by name, averaged over the runs that have some."""
    scored = [one.scores for one in runs if one.scores]
    return {name: float(np.mean([scores[name] for scores in scored])) for name in (scored[0] if scored else ())}


def _save(args, one, scores):
    """Save the network of a Run, with its preprocessing and a description of the training as metadata."""
    kept, epoch = _losses(one.trainer.history)
    one.net.metadata["preprocessing"] = one.preprocessing.to_dict()
    asked = {name: getattr(args, name) for name in RECORDED}
    one.net.metadata["training"] = asked | {
        "train_rows": one.train.n_rows,
        "test_rows": one.test.n_rows,
        "batch_size": args.batch_size,
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
