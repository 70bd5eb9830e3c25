"""Parser of command lines, whose errors are one line: what is wrong, what is accepted, and what may be meant."""

import argparse
import re

from fastmlp.hints import KEYWORDS
from fastmlp.terminal import printable

# What others call our options, besides what `hints` has for arguments; as those, in lower case and with underscores.
_OPTIONS = {
    "hidden": "sizes hidden_layer_sizes hidden_sizes hidden_units hidden_dim layers layer_sizes units n_hidden width",
    "l2": "weight_decay",
    "test-fraction": "test_size test_split",
    "validation-fraction": "valid_fraction validation_split val_split val_size validation_size",
    "cross-validate": "cv folds k_folds n_splits kfold",
    "minutes": "time max_time time_limit timeout",
    "target": "y label target_column label_column response class",
    "drop": "exclude ignore ignore_columns drop_columns",
    "id": "index id_column index_col",
    "types": "type dtypes column_types categorical cat_features categorical_features",
    "delimiter": "sep separator d",
    "na": "na_values missing null",
    "thousands": "thousands_separator",
    "save": "o out output model save_model model_out",
    "output": "o out save",
    "checkpoint": "ckpt checkpoint_path",
    "probabilities": "probs proba predict_proba probability",
    "plot": "plots figure",
    "peers": "libraries against compare",
    "rounds": "repeat repeats runs n_runs",
}
SHOWN = "verbose", "verbosity", "progress", "quiet", "silent", "v", "q"  # about what is shown in any case


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that writes one line to standard error and ends with status 2 for what is wrong."""

    def parse_known_args(self, args=None, namespace=None):
        """Parse all of the arguments; others are an error, of the command that they were given to."""
        found, others = super().parse_known_args(args, namespace)
        if others:
            unknown = next((word for word in others if word.startswith("-")), None)
            self.error(self._about_option(unknown.partition("=")[0]) if unknown else _about_words(others))
        return found, others

    def error(self, message):
        """Write the message of argparse or of `kinds` in this library's words, and end the program."""
        if unknown := re.match("argument COMMAND: invalid choice: '(.*?)' ", message):
            message = _refusal("COMMAND", unknown[1], self._subparsers._group_actions[0].choices)
        message = re.sub("^argument ([^ :]+): is ", r"\1 is ", message)
        message = re.sub(
            "^argument ([^ :]+): expected one argument$",
            r"\1 has no value; accepted: one, as in \1=VALUE if it begins with a hyphen",
            message,
        )
        self.exit(2, f"{self.prog}: error: {printable(message)}\n")

    def _about_option(self, given):
        """Message about an option that the command does not have."""
        from fastmlp.checks import nearest  # only now, as it waits for Numba

        ours = [flag.removeprefix("--") for flag in self._option_string_actions if flag.startswith("--")]
        name = given.strip("-").replace("-", "_").lower()
        meant = next((flag for flag in ours if name in _OPTIONS.get(flag, "").split()), None) or _argument(name)
        hint = nearest(name, ours, {name: meant}).replace("'", "'--", 1)
        if meant not in ours and name in SHOWN:
            hint = " (none is needed: a terminal shows the progress)"
        return f"{given} is no option{hint}; accepted: those of `{self.prog} --help`"


def _argument(name):
    """Name of the option for the argument of the library that others call `name`; None if there is none."""
    for place in "Trainer.fit", "Trainer", "MLP":
        if meant := re.search(r"\((\w+)=", KEYWORDS[place].get(name, "")):
            return meant[1].replace("_", "-")
    return None


def _about_words(words):
    listed = " ".join(words)
    return f"{listed!r} is left over; accepted: lists with commas, such as 128,64, and texts with blanks in quotes"


def _refusal(argument, value, known):
    """Message about a name that is none of those `known`."""
    from fastmlp.checks import choice

    try:
        choice(argument, value, known)
    except ValueError as error:
        return str(error)
