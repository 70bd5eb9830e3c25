"""A few cases of each kind of fault (see the modules of this folder)."""

import pytest

from tests.fuzz import kills, model_files, mutations
from tests.kernels.cases import PLAIN

pytestmark = pytest.mark.skipif(PLAIN, reason="plain Python is too slow")


def test_model_files():
    mutations.run(model_files, 300, seed=1)


def test_tables():
    pytest.importorskip("pyarrow")
    from tests.fuzz import tables

    mutations.run(tables, 300, seed=1)


def test_kills():
    found = kills.main(4, seed=1, cold=False)
    assert found["killed"] > 0
    assert (found["with other results"], found["temporary files left"]) == (0, 0)
