"""The events of a fit, and how those who listen are told."""

from collections.abc import Sequence

EVENTS = ("on_fit_begin", "on_epoch_begin", "on_slice_end", "on_epoch_end", "on_fit_end")


class Listeners:
    """All callbacks of a fit, called by event (see `callbacks.Callback`).

    Attributes
    ----------
    raised : bool
        Whether one of them has raised an exception.
    """

    def __init__(self, callbacks: Sequence, trainer):
        self.trainer, self.raised = trainer, False
        self._hooks = {event: [getattr(c, event) for c in callbacks if hasattr(c, event)] for event in EVENTS}
        for callback in callbacks:
            if not any(hasattr(callback, event) for event in EVENTS):
                raise TypeError(f"callbacks holds {callback!r}; accepted: objects with any of {', '.join(EVENTS)}")

    def __call__(self, event: str, *arguments) -> bool:
        """Call a method of all that have it; returns whether any of them asks to stop."""
        stop = False
        try:
            for hook in self._hooks[event]:
                stop |= hook(self.trainer, *arguments) is True
        except BaseException:
            self.raised = True
            raise
        return stop

    def close(self) -> None:
        """Call `on_fit_end` of all, whatever one of them raises; the first exception goes on."""
        errors = []
        for hook in self._hooks["on_fit_end"]:
            try:
                hook(self.trainer)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
