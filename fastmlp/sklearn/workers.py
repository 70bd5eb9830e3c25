"""Registered activations and losses in worker processes of joblib's loky, which get the functions themselves.

So lambdas, and functions of a script or notebook, reach the workers of `n_jobs`, too. All other pickles say from where
functions can be imported (see `fastmlp.registered`).
"""

import pickle

from joblib.externals.loky.backend import reduction

from ..registered import REGISTER, Registered, keeping_failures, known, path

_received = {}  # by ("activation" or "loss", name): the pickle of the arguments that registered it, and the arguments


def _carry(part):
    """Reduction of a `Registered` for loky."""
    key = part.kind, part.name
    arguments = known[key]
    pickled, of = _received.get(key, (None, None))
    if of is not arguments:
        pickled = bytes(reduction.dumps(arguments))
    return _register, (*key, path(arguments["value"]), pickled)


def _register(kind, name, value, pickled):
    """Register a name by pickled arguments, unless this process has registered it by itself.

    What came from another process is replaced by what comes later: workers stay for the next call of `Parallel`.
    """
    earlier, of = _received.get((kind, name), (None, None))
    if pickled != earlier and known.get((kind, name)) is of:
        with keeping_failures(kind, name, value):
            REGISTER[kind](name, **pickle.loads(pickled))
            _received[kind, name] = pickled, known[kind, name]


reduction.register(Registered, _carry)
