"""Limits of `threadpoolctl`, scikit-learn's way to say how many threads libraries may use, made to hold for Numba's.

`threadpoolctl` limits OpenMP, but Numba tells OpenMP its own number in every parallel region.
"""

import numba
import threadpoolctl


class NumbaThreads(threadpoolctl.LibController):
    """Numba's number of threads, which `threadpoolctl` finds by a library that Numba always loads."""

    user_api, internal_api, filename_prefixes = "openmp", "numba", ("_helperlib",)

    def get_num_threads(self):
        """Numba's current setting for the calling thread."""
        return numba.get_num_threads()

    def set_num_threads(self, num_threads):
        """Set it; Numba has no more than it began with."""
        numba.set_num_threads(min(num_threads, numba.config.NUMBA_NUM_THREADS))

    def get_version(self):
        """Version of Numba."""
        return numba.__version__


threadpoolctl.register(NumbaThreads)
