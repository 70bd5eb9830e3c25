"""Where a fit is: what decides how it goes on, besides the settings, the parameters and the optimizer's state."""

from dataclasses import dataclass, field

import numpy as np

EMPTY = np.empty(0, np.int64)


@dataclass
class Position:
    """Where a fit is, between two slices of its training (see `trainer`).

    Attributes
    ----------
    begun : int
        Epochs in the history when the fit began.
    batch, batch_size : int
        First batch of the current epoch that is not trained, 0 between two epochs; and size of its batches.
    seconds : float
        Duration of the current epoch so far.
    order, held : int64 arrays
        Order of the samples in the current epoch, or the last one; samples held out for validation. Empty if samples
        are taken as they come, and if none are held out.
    sums : list of arrays
        Sums over the batches of the current epoch, as the kernels keep them (their `Progress`).
    best, waited : float and int
        Lowest watched loss, and number of epochs without a lower one (see `Stopping`).
    best_params, last_params : arrays
        Parameters of the best epoch; those of the last one, if the best have taken their place in the network. Else
        empty.
    ended : bool
        Whether the fit has ended by itself: the next one adds its epochs.
    samples, weight : int and float
        Samples of a stream in the current epoch that are trained, and the sum of their weights.
    pool_rows, pool_seed : int
        Rows of a pool of a stream, and what decides their order in the current epoch; 0 if it has not begun. The orders
        of a stream are those of its blocks (see `streams`).
    callbacks : list of pairs (str, dict)
        Class and state of the callbacks that have one.
    """

    begun: int = 0
    batch: int = 0
    batch_size: int = 0
    seconds: float = 0.0
    order: np.ndarray = field(default_factory=lambda: EMPTY)
    held: np.ndarray = field(default_factory=lambda: EMPTY)
    sums: list = field(default_factory=list)
    best: float = np.inf
    waited: int = 0
    best_params: np.ndarray = field(default_factory=lambda: EMPTY)
    last_params: np.ndarray = field(default_factory=lambda: EMPTY)
    ended: bool = False
    samples: int = 0
    weight: float = 0.0
    pool_rows: int = 0
    pool_seed: int = 0
    callbacks: list = field(default_factory=list)
