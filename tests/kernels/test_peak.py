"""The measured peak: a rate that a machine can have, from all threads or one."""

import numba
import pytest
from fastmlp_kernels.tile import peak

from tests.kernels.cases import DTYPES, PLAIN


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(peak, "UPDATES", 10 if PLAIN else 10_000)
    monkeypatch.setattr(peak, "SECONDS", 0.05)


@DTYPES
def test_the_peak_is_a_rate_a_machine_can_have(dtype):
    rate = peak.fma_peak(dtype)
    cores, gigahertz, vectors, lanes = numba.get_num_threads(), 6e9, 4, 32  # more than any core has
    assert 0 < rate < cores * gigahertz * vectors * lanes * 2


def test_threads_are_set_back():
    before = numba.get_num_threads()
    assert peak.fma_peak(threads=1) > 0
    assert numba.get_num_threads() == before
