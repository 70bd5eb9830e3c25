"""Record of a training, epoch by epoch."""

from dataclasses import asdict, dataclass, field


@dataclass
class History:
    """Record of a fit: lists with one entry per epoch, Python floats but for `delta_rms`.

    Attributes
    ----------
    loss : list of float
        Training loss: mean (or sum) over the epoch's samples, each evaluated before the update of its batch.
    val_loss : list of float
        Validation loss after the epoch; empty without validation data.
    monitor : list of float
        Your own measure after the epoch (see `monitor` of `Trainer.fit`); empty without one.
    metrics : dict of lists of float
        The `metrics` of `Trainer.fit` by name: each of the validation samples, after the epoch; empty without any.
    objective, penalty : list of float
        The function that the updates minimize, loss plus penalty, and the penalty l2 / 2 |W|^2 alone: each evaluated
        before each update, and averaged over the updates by the number of their samples.
    rms : list of float
        Root of the mean squared error per output, if the loss is the squared error; else empty.
    delta_rms : list of list of float
        Root mean square of the error signal dE/dz of each layer, over samples and units.
    learning_rate : list of float
    seconds : list of float
        Duration of the epoch's training in seconds, with what callbacks do in `on_slice_end`, without their other
        events, shuffling and validation.
    samples_per_second : list of float
    seconds_waiting : list of float
        Part of `seconds` in which the training waited for samples of a stream; empty for arrays.
    best_epoch : int or None
        Index of the epoch with the lowest watched loss, if `tol` or `patience` was set; its parameters are restored.
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    monitor: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    objective: list[float] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)
    rms: list[float] = field(default_factory=list)
    delta_rms: list[list[float]] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)
    seconds_waiting: list[float] = field(default_factory=list)
    best_epoch: int | None = None

    @property
    def watched(self) -> list[float]:
        """The losses that stopping and schedules watch: `monitor` if there is one, else `val_loss`, else `loss`."""
        return getattr(self, self.watched_name)

    @property
    def watched_name(self) -> str:
        """Name of the list `watched`."""
        return "monitor" if self.monitor else "val_loss" if self.val_loss else "loss"

    @property
    def val_metrics(self) -> dict[str, list[float]]:
        """The lists of `metrics`, by names such as "val_accuracy", as in tables and logs."""
        return {f"val_{name}": values for name, values in self.metrics.items()}

    def __repr__(self):
        """Number of epochs, and the last losses."""
        columns = ("loss", "val_loss", "monitor")
        last = [f"{name} {values[-1]:.6g}" for name in columns if (values := getattr(self, name))]
        last += [f"{name} {values[-1]:.6g}" for name, values in self.val_metrics.items()]
        best = [] if self.best_epoch is None else [f"best_epoch {self.best_epoch}"]
        epochs = f"{len(self.loss)} epoch{'s' * (len(self.loss) != 1)}"
        return f"<History of {epochs}{': ' * bool(last)}{', '.join(last + best)}>"

    def shorten(self, epochs: int) -> None:
        """Forget all but the first `epochs` epochs."""
        for values in [*vars(self).values(), *self.metrics.values()]:
            if isinstance(values, list):
                del values[epochs:]

    def to_dict(self) -> dict:
        """The history as a dict that JSON can represent, and `pandas.DataFrame` can take.

        The lists are those with an entry per epoch; empty ones are left out, unless there was no epoch. Metrics are
        among them, as "val_accuracy" and so on. "best_epoch", an int or None, is the same in all rows of a data frame.
        """
        columns = asdict(self)
        del columns["metrics"]
        columns |= {name: list(values) for name, values in self.val_metrics.items()}
        return {name: value for name, value in columns.items() if value != [] or not self.loss}
