"""How long to run compiled code at a stretch, and on one thread or all: by what was measured so far.

Serial and parallel drivers give the same bits, so the faster may be taken at any time. Which one that is depends not
only on the size of the work: where other programs hold the cores, waking a thread can take longer than a small batch.
"""

SLICE_SECONDS = 0.1  # of compiled code at a stretch; between slices Python looks at progress and Ctrl-C
TRIAL_BATCHES = 16  # at most, for a driver that is not known to be the fastest
TRIAL_SHARE = 1 / 16  # of the time, at most, for the driver that was slower last time
GUESSED_FLOPS = 20e9  # a second, for the first slice


class Pace:
    """Picks driver and number of batches for each slice of a training.

    Parameters
    ----------
    drivers : sequence of functions
        Those that come into question.
    flops : int
        Work of a batch.
    """

    def __init__(self, drivers, flops):
        self.drivers, self.seconds = drivers, {}
        self.trial = max(1, min(TRIAL_BATCHES, round(SLICE_SECONDS * GUESSED_FLOPS / flops)))
        self.since = 0.0  # seconds of training since the last trial

    def pick(self):
        """(driver, most batches) for the next slice."""
        by_speed = sorted(
            self.drivers, key=lambda driver: self.seconds.get(driver, 0.0)
        )  # first those not measured yet
        fastest, slowest = by_speed[0], by_speed[-1]
        if fastest not in self.seconds:
            return fastest, self.trial
        if slowest is not fastest and self.since * TRIAL_SHARE > self.seconds[slowest] * self.trial:
            return slowest, self.trial
        return fastest, max(1, round(SLICE_SECONDS / self.seconds[fastest]))

    def note(self, driver, seconds, batches=1):
        """Note how many seconds a batch has taken, of a slice of so many."""
        self.seconds[driver] = max(seconds, 1e-9)
        fastest = min(self.seconds, key=self.seconds.get)
        self.since = self.since + seconds * batches if driver is fastest else 0.0
