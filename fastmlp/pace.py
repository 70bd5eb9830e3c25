"""Choice of the number of batches in a slice of training, and of the serial or parallel driver, from measured times.

A slice is one call of a driver, the compiled function that trains on a range of batches. Serial and parallel drivers
give the same bits, so the faster one may be used at any time. Which one that is does not only depend on the amount of
work: if other programs use the cores, waking a thread can take longer than a small batch. Predictions of moderate size
are chosen for likewise, each a slice of one batch.
"""

SLICE_SECONDS = 0.1  # duration of a slice; between slices Python shows progress and notices Ctrl-C
# All parameters are checked and copied after each slice, in a nanosecond each. From so many parameters on, slices are
# longer in proportion to their number, so that this takes 2 % of the time, and at most so many times longer.
MANY_PARAMETERS, LONGEST = 2_000_000, 5
TRIAL_BATCHES = 16  # batches, at most, of a slice with a driver that is not known to be the fastest
TRIAL_SHARE = 1 / 16  # share of the time, at most, for trials of the driver that was slower last time
GUESSED_FLOPS = 20e9  # floating-point operations per second, assumed before anything is measured


class Pace:
    """Driver and number of batches for each slice of a training.

    Parameters
    ----------
    drivers : sequence of functions
        Drivers to choose from.
    flops : int
        Floating-point operations of a batch.
    parameters : int
        Parameters of the network.

    Attributes
    ----------
    slice : float
        Duration of a slice in seconds.
    seconds : dict
        Seconds per batch in the last slice of each driver that has had one.
    """

    def __init__(self, drivers, flops, parameters=0):
        self.drivers, self.seconds = drivers, {}
        self.slice = SLICE_SECONDS * min(max(1, parameters / MANY_PARAMETERS), LONGEST)
        self.trial = max(1, min(TRIAL_BATCHES, round(SLICE_SECONDS * GUESSED_FLOPS / flops)))
        self.since = 0.0  # seconds of training with the fastest driver since the last slice with another

    def pick(self):
        """Driver for the next slice, and the largest number of batches: (function, int)."""
        # Drivers that are not measured yet come first.
        by_speed = sorted(self.drivers, key=lambda driver: self.seconds.get(driver, 0.0))
        first, slowest = by_speed[0], by_speed[-1]
        if first not in self.seconds:
            return first, self.trial
        if slowest is not first and self.since * TRIAL_SHARE > self.seconds[slowest] * self.trial:
            return slowest, self.trial
        return first, max(1, round(self.slice / self.seconds[first]))

    def note(self, driver, seconds, batches=1):
        """Record the seconds per batch of a slice of `batches` batches with `driver`."""
        self.seconds[driver] = max(seconds, 1e-9)
        fastest = min(self.seconds, key=self.seconds.get)
        self.since = self.since + seconds * batches if driver is fastest else 0.0
