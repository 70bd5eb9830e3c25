"""What happened in training, epoch by epoch."""

from dataclasses import asdict, dataclass, field


@dataclass
class History:
    """The course of a fit: lists with one entry per epoch.

    Attributes
    ----------
    loss : list of float
        Training loss, averaged (or summed) over the epoch's samples, each before the update of its batch.
    val_loss : list of float
        Validation loss after the epoch; empty without validation data.
    monitor : list of float
        Measure of one's own after the epoch (see `Trainer.fit`); empty without one.
    objective, penalty : list of float
        What the updates went down, loss and penalty, and the penalty l2 / 2 |W|^2 alone: before each update, averaged
        over the updates by the number of their samples.
    rms : list of float
        Root of the mean squared error per output, for the squared error; else empty.
    delta_rms : list of list of float
        Root mean square of the error signal dE/dz of each layer, over samples and units.
    learning_rate : list of float
    seconds : list of float
        Time of the epoch's training, without validation.
    samples_per_second : list of float
    best_epoch : int or None
        Index of the epoch with the lowest loss that was watched, where training stops early; its weights are kept.
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    monitor: list[float] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    penalty: list[float] = field(default_factory=list)
    rms: list[float] = field(default_factory=list)
    delta_rms: list[list[float]] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    samples_per_second: list[float] = field(default_factory=list)
    best_epoch: int | None = None

    @property
    def watched(self) -> list[float]:
        """What decides, the smaller the better: one's own measure, or else validation losses, or training losses."""
        return self.monitor or self.val_loss or self.loss

    def __repr__(self):
        """How many epochs there were, and the last of what was watched."""
        columns = ("loss", "val_loss", "monitor")
        last = [f"{name} {values[-1]:.6g}" for name in columns if (values := getattr(self, name))]
        best = [] if self.best_epoch is None else [f"best_epoch {self.best_epoch}"]
        epochs = f"{len(self.loss)} epoch{'s' * (len(self.loss) != 1)}"
        return f"<History of {epochs}{': ' * bool(last)}{', '.join(last + best)}>"

    def to_dict(self) -> dict:
        """The history as JSON can hold it."""
        return asdict(self)
