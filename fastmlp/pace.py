"""How long to run compiled code at a stretch, and on one thread or all: by what was measured so far.

Serial and parallel drivers give the same bits, so the faster may be taken at any time. Which one that is depends not
only on the size of the work: where other programs hold the cores, waking a thread can take longer than a small batch.
"""

SLICE_SECONDS = 0.1  # of compiled code at a stretch; between slices Python looks at progress and Ctrl-C
TRIAL_BATCHES = 16  # at most, for a driver that is not known to be the fastest
TRIAL_EVERY = 16  # slices, for the driver that was slower last time
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
        self.drivers, self.slices, self.seconds = drivers, 0, {}
        self.trial = max(1, min(TRIAL_BATCHES, round(SLICE_SECONDS * GUESSED_FLOPS / flops)))

    def pick(self):
        """(driver, most batches) for the next slice."""
        self.slices += 1
        by_speed = sorted(
            self.drivers, key=lambda driver: self.seconds.get(driver, 0.0)
        )  # first those not measured yet
        fastest, slowest = by_speed[0], by_speed[-1]
        if fastest not in self.seconds:
            return fastest, self.trial
        if slowest is not fastest and self.slices % TRIAL_EVERY == 0:
            return slowest, self.trial
        return fastest, max(1, round(SLICE_SECONDS / self.seconds[fastest]))

    def note(self, driver, seconds):
        """Note how many seconds a batch has taken."""
        self.seconds[driver] = max(seconds, 1e-9)
