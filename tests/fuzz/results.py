"""Digests of results, by which processes compare what they have computed."""

import hashlib


def digest(trainer, *more):
    """Digest of a trainer's parameters and of its history but for times, and of `more`: arrays and other objects."""
    history = [values for name, values in trainer.history.to_dict().items() if "second" not in name]
    parts = [trainer.net.params.tobytes(), repr(history).encode()]
    parts += [part.tobytes() if hasattr(part, "tobytes") else repr(part).encode() for part in more]
    return hashlib.sha256(b"|".join(parts)).hexdigest()
