"""Groups of processes that train together, by MPI: what they tell each other, and how they end if one of them fails.

Every exchange has two parts. First all ranks exchange a header: whether a rank has failed, and how much it will send.
Then they exchange the contents, in which nothing can fail but MPI. A rank that raises an exception takes part in the
next exchange, whatever that is, with the exception as its contents: so it reaches all ranks, and none waits for ever.
"""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import time
from collections.abc import Callable

import numpy as np

from .interrupts import uninterrupted

# A rank waits for others so many seconds, and so many times as long as it has worked since the last exchange; longer
# where others may read data, compile, or call the user's functions.
SECONDS, TIMES, PATIENT_SECONDS = 30.0, 10, 3600.0
SPIN_SECONDS, SLEEP_SECONDS = 0.05, 0.0005  # a rank asks without a pause whether others are there; and after so long
give_way = getattr(os, "sched_yield", lambda: None)  # not time.sleep(0), which takes 60 us on Linux
SENT, FAILED = 0, 1
# Variables by which launchers (of MPICH, Open MPI and Slurm) say how many processes they have started.
LAUNCHED = "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"


class GroupError(RuntimeError):
    """Other ranks of a group have ended or hang, so that the processes cannot train together any more."""


class Alone:
    """One process that trains by itself, with the methods of a `Group`."""

    rank, size = 0, 1

    def share(self, value, patient=True):
        """List of the values of all ranks."""
        return [value]

    def first(self, function):
        """Result of a function that rank 0 calls."""
        return function()

    def same(self, **values):
        """Raise an exception if ranks have other values."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class Group:
    """Ranks of an MPI communicator.

    As a context, it tells all ranks of an exception that one of them raises inside, and raises it in all.

    Parameters
    ----------
    communicator : mpi4py.MPI.Intracomm
        A duplicate is used, so that messages of the user's own are not mixed up with those of the group.
    """

    def __init__(self, communicator):
        from mpi4py import MPI

        self._mpi, self._communicator = MPI, communicator.Dup()
        self.rank, self.size = communicator.rank, communicator.size
        self._told = self._lost = None  # the exception that all ranks know of; the GroupError after which all end
        self._since = time.monotonic()  # the end of the last exchange
        self._received = np.empty(0)

    def share(self, value, patient=True):
        """List of the values of all ranks, in their order; any objects that can be pickled.

        `patient` tells whether other ranks may take much longer than this one to get here.
        """
        everyone = enumerate(self._exchange(SENT, pickle.dumps(value), patient))
        return [value if rank == self.rank else pickle.loads(contents) for rank, contents in everyone]

    def numbers(self, values):
        """Numbers of all ranks, a row each: (size, n) float64 array, of n numbers in each rank."""
        contents = self._exchange(SENT, np.array(values, float).tobytes(), patient=False)
        return np.frombuffer(b"".join(contents)).reshape(self.size, -1)

    def first(self, function: Callable):
        """Result of a function that rank 0 calls, in all ranks; or the exception that it raises."""
        return self.share(function() if self.rank == 0 else None, patient=self.rank > 0)[0]

    def same(self, **values):
        """Raise a ValueError in all ranks that names the first of the values that is not the same in all of them."""
        everyone = self.share(values, patient=False)
        for name, value in everyone[0].items():
            for rank, others in enumerate(everyone):
                if others[name] != value:
                    message = f"{name} is {others[name]!r} on rank {rank} of the group, {value!r} on rank 0"
                    raise self.known(ValueError(f"{message}; accepted: the same on all ranks"))

    def add(self, array):
        """Replace an array by the sum over all ranks, added in the order of the ranks.

        Every rank adds one piece of it, of all ranks, and sends the sum to all: so the bits are the same on all ranks.
        """
        ends = [len(array) * (rank + 1) // self.size for rank in range(self.size)]
        starts = [0, *ends[:-1]]
        counts = [end - start for start, end in zip(starts, ends, strict=True)]
        pieces = [array[start:end] for start, end in zip(starts, ends, strict=True)]
        own, others = pieces[self.rank], [rank for rank in range(self.size) if rank != self.rank]
        if self._received.shape != (self.size, len(own)) or self._received.dtype != array.dtype:
            self._received = np.empty((self.size, len(own)), array.dtype)
        self._received[self.rank] = own
        to, received = self._communicator, self._received
        self._wait(  # four times as fast as Ialltoallv between two ranks of one machine
            lambda: (
                [to.Irecv(received[rank], rank) for rank in others] + [to.Isend(pieces[rank], rank) for rank in others]
            )
        )
        np.copyto(own, received[0])
        for part in received[1:]:
            own += part
        self._wait(lambda: [to.Iallgatherv(self._mpi.IN_PLACE, [array, (counts, starts)])])

    def __enter__(self):
        self._told = None
        return self

    def __exit__(self, kind, error, trace):
        if error is None or self._told or self._lost:
            return  # when all ranks know of one exception, others, such as of Ctrl-C, need not be told
        try:
            contents = pickle.dumps(error)
            pickle.loads(contents)
        except Exception:  # an exception that cannot be pickled
            contents = pickle.dumps(RuntimeError(f"{kind.__name__}: {error}"))
        try:
            self._exchange(FAILED, contents, patient=True)
        except GroupError:
            raise
        except BaseException:
            return  # what comes back is what this rank, or another, has told

    def known(self, error):
        """The exception, which all ranks know of: they all raise it."""
        self._told = error
        return error

    def _exchange(self, status, contents, patient):
        """Contents of all ranks, a list of bytes; or the exception of the first rank that has failed is raised."""
        if self._lost:
            raise self._lost
        seconds = PATIENT_SECONDS if patient else SECONDS + TIMES * (time.monotonic() - self._since)
        header, headers = np.array([status, len(contents)]), np.empty((self.size, 2), np.int64)
        with uninterrupted():  # other ranks would wait for the second part
            self._wait(lambda: [self._communicator.Iallgather(header, headers)], seconds)
            lengths = headers[:, 1]
            ends = np.cumsum(lengths)
            received = bytearray(int(ends[-1]))
            where = lengths.tolist(), (ends - lengths).tolist()
            byte = self._mpi.BYTE
            self._wait(lambda: [self._communicator.Iallgatherv([contents, byte], [received, where, byte])])
        self._since = time.monotonic()
        parts = [received[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        for rank in np.flatnonzero(headers[:, 0] == FAILED):
            error = pickle.loads(parts[rank])
            if rank != self.rank:
                error.add_note(f"(raised on rank {rank} of the group)")
            raise self.known(error)
        return parts

    def _wait(self, begin, seconds=None):
        """Begin operations, by a function that returns their requests, and wait until they are done.

        If that takes longer than `seconds`, by default SECONDS, or MPI fails, the error ends this process, and MPI the
        others.
        """
        start, seconds = time.monotonic(), seconds or SECONDS
        try:
            requests = begin()
            while not self._mpi.Request.Testall(requests):
                waited = time.monotonic() - start
                if waited > seconds:
                    raise self._end(f"has waited {waited:.0f} s for the others: one has ended or hangs")
                if waited > SPIN_SECONDS:
                    time.sleep(SLEEP_SECONDS)
                else:
                    give_way()
        except self._mpi.Exception as error:
            raise self._end(f"cannot reach the others: {error}") from error

    def _end(self, reason):
        """GroupError for a reason. At its end, this process ends all: it could not end MPI without the others."""
        atexit.register(self._communicator.Abort, 1)
        self._lost = GroupError(f"rank {self.rank} of {self.size} {reason}; all ranks end")
        return self._lost


def of(communicator):
    """Group of a communicator of mpi4py; `Alone` for None, or a communicator of one rank."""
    if communicator is None:
        return Alone()
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError('group needs mpi4py; accepted: pip install "fastmlp[mpi]"') from error
    if not isinstance(communicator, MPI.Intracomm):
        raise TypeError(f"group is {communicator!r}; accepted: a communicator of mpi4py, such as MPI.COMM_WORLD")
    if communicator.size == 1:
        return Alone()
    key = _key()
    if (known := communicator.Get_attr(key)) is None:
        known = Group(communicator)
        communicator.Set_attr(key, known)
    return known


def world():
    """Communicator of all processes that a launcher such as `mpiexec` or `srun` has started; None without one."""
    if not any(int(os.environ.get(name, 1)) > 1 for name in LAUNCHED):
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD


@functools.cache
def _key():
    """Key of the attribute of a communicator that is its Group."""
    from mpi4py import MPI

    return MPI.Comm.Create_keyval()
