"""Training on more samples than memory holds: a `Stream` of blocks, which `Trainer.fit` takes in the place of arrays.

`sources` and `arrow` read blocks, `pools` keeps as many rows as are shuffled at a time, `reader` is the thread that
fills one pool while another is trained on, `feed` checks and converts blocks for a network, `epoch` is the loop over
batches.
"""

from .stream import Stream, is_stream, stream_of

__all__ = ["Stream", "is_stream", "stream_of"]
