"""Benchmarks of fastmlp, for asv; `repeated` says how they measure. Every library gets as many threads as Numba."""

import os

_threads = os.environ.get("NUMBA_NUM_THREADS") or str(os.cpu_count())
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, _threads)
