"""Progress of training: a tqdm bar if tqdm is installed, else a line every few seconds, on standard error.

In a notebook the bar is a widget, if those of Jupyter are installed.
"""

import sys
import time

from .terminal import StandardError

SECONDS_BETWEEN_LINES = 2.0


class Silent:
    """Base of displays; shows nothing.

    `epochs` is the number of epochs, `samples` that of samples in each, None if it is not known.
    """

    def __init__(self, epochs, samples):
        pass

    def update(self, samples, loss):
        """Show that `samples` more samples were trained on; `loss` is that of the epoch so far."""

    def end_epoch(self, validation):
        """Show the end of an epoch, if any of it was shown, with its validation loss and metrics by name, if any."""

    def close(self):
        """End the display."""


class Bar(Silent):
    """Display as a tqdm bar over the samples of all epochs."""

    def __init__(self, epochs, samples):
        from tqdm.auto import tqdm

        settings = {"unit": " samples", "unit_scale": True, "dynamic_ncols": True, "file": StandardError()}
        self.bar = tqdm(total=samples and epochs * samples, **settings)
        self.epochs, self.epoch, self.fields, self.shown = epochs, 1, {}, False

    def update(self, samples, loss):
        self.fields = {"loss": f"{loss:.4g}"}
        self.bar.set_description(f"epoch {self.epoch}/{self.epochs}", refresh=False)
        self.bar.set_postfix(self.fields, refresh=False)
        self.shown |= bool(self.bar.update(samples))

    def end_epoch(self, validation):
        if validation:
            shown = {name: f"{value:.4g}" for name, value in validation.items()}
            self.bar.set_postfix(self.fields | shown, refresh=self.shown)
        self.epoch, self.shown = self.epoch + 1, False

    def close(self):
        self.bar.close()


class Lines(Silent):
    """Display as plain lines: at most one every SECONDS_BETWEEN_LINES, and one at the end.

    With validation, an epoch that has lines ends with one, too.
    """

    def __init__(self, epochs, samples):
        self.epochs, self.total, self.done, self.epoch, self.ended = epochs, samples and epochs * samples, 0, 0, True
        self.start = self.last = time.perf_counter()
        self.loss, self.validation = None, {}
        self.shown = ()  # what `_state` was when the last line was printed

    def update(self, samples, loss):
        if self.ended:
            self.epoch, self.validation, self.ended = self.epoch + 1, {}, False
        self.done, self.loss = self.done + samples, loss
        if time.perf_counter() - self.last >= SECONDS_BETWEEN_LINES:
            self._print()

    def end_epoch(self, validation):
        self.validation, self.ended = validation, True
        if validation and self.shown[:1] == (self.epoch,):
            self._print()

    def close(self):
        if self.done and self.shown != self._state():
            self._print()

    def _state(self):
        return self.epoch, self.done, self.validation

    def _print(self):
        self.last, self.shown = time.perf_counter(), self._state()
        rate = self.done / (self.last - self.start)
        validation = "".join(f"  {name} {value:.4g}" for name, value in self.validation.items())
        rest = f"{(self.total - self.done) / rate:.0f} s left" if self.total else f"{self.done:.3g} samples"
        losses = f"loss {self.loss:.4g}{validation}"
        text = f"epoch {self.epoch}/{self.epochs}  {losses}  {rate:.3g} samples/s  {rest}"
        print(text, file=StandardError(), flush=True)


def start(epochs, samples):
    """New display for a fit: a Bar if tqdm is installed, else Lines; silent where there is no standard error."""
    if sys.stderr is None:  # as in programs with windows only
        return Silent(epochs, samples)
    try:
        return Bar(epochs, samples)
    except ImportError:
        return Lines(epochs, samples)


class ProgressBar:
    """Callback that shows progress: a tqdm bar if tqdm is installed, else plain lines (see `fastmlp.progress`)."""

    def __init__(self) -> None:
        self._display = None

    def __repr__(self):
        return "ProgressBar()"

    def on_fit_begin(self, trainer, epochs, samples):
        self._display = start(epochs, samples)

    def on_slice_end(self, trainer, samples, loss):
        self._display.update(samples, loss)

    def on_epoch_end(self, trainer, epoch):
        curves = {"val_loss": trainer.history.val_loss} | trainer.history.val_metrics
        self._display.end_epoch({name: values[-1] for name, values in curves.items() if values})

    def on_fit_end(self, trainer):
        if self._display:
            self._display.close()
            self._display = None
