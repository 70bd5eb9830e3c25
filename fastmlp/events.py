"""Events of a fit, and the calls of the callbacks that listen to them."""

from collections.abc import Sequence

EVENTS = ("on_fit_begin", "on_epoch_begin", "on_slice_end", "on_epoch_end", "on_fit_end")


def is_users(hook) -> bool:
    """Whether a method of a callback is the user's own, which may change anything."""
    return not (getattr(hook, "__module__", None) or "").startswith(f"{__package__}.")


class Listeners:
    """All callbacks of a fit, called by event (see `callbacks.Callback`).

    Parameters
    ----------
    callbacks : sequence of objects with any of the methods EVENTS; those with a true `is_last` come after the others
    trainer : Trainer; first argument of every call

    Attributes
    ----------
    raised : bool
        Whether one of them has raised an exception, apart from those that `close` calls.
    """

    def __init__(self, callbacks: Sequence, trainer):
        callbacks = sorted(callbacks, key=lambda callback: getattr(callback, "is_last", False))
        self.trainer, self.raised, self._callbacks = trainer, False, callbacks
        self._hooks = {event: [getattr(c, event) for c in callbacks if hasattr(c, event)] for event in EVENTS}
        for callback in callbacks:
            if isinstance(callback, type) or not any(hasattr(callback, event) for event in EVENTS):
                raise TypeError(f"callbacks holds {callback!r}; accepted: objects with any of {', '.join(EVENTS)}")

    def __call__(self, event: str, *arguments) -> bool:
        """Call the method `event` of all callbacks that have it; return whether any of them returned True, to stop."""
        stop = False
        try:
            for hook in self._hooks[event]:
                stop |= hook(self.trainer, *arguments) is True
                if is_users(hook):
                    self.trainer.take_params()  # which a callback of the user's own may have changed
        except BaseException:
            self.raised = True
            raise
        return stop

    def states(self) -> list:
        """State of all callbacks that have a method `state_dict`: pairs of the name of the class, and the state."""
        return [(type(c).__qualname__, c.state_dict()) for c in self._callbacks if hasattr(c, "state_dict")]

    def load_states(self, states: list) -> None:
        """Hand earlier `states` out by `load_state_dict`: to callbacks of the same class, in order."""
        left = list(self._callbacks)
        for name, state in states:
            same = (c for c in left if type(c).__qualname__ == name and hasattr(c, "load_state_dict"))
            if callback := next(same, None):
                callback.load_state_dict(state)
                left = [c for c in left if c is not callback]

    def close(self) -> None:
        """Call `on_fit_end` of all callbacks, even if some raise; then raise the first of these exceptions."""
        errors = []
        for hook in self._hooks["on_fit_end"]:
            try:
                hook(self.trainer)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
