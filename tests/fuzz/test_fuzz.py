"""A few cases of each kind of fault (see the modules of this folder)."""

import pytest

from tests.fuzz import kills, model_files
from tests.kernels.cases import PLAIN

pytestmark = pytest.mark.skipif(PLAIN, reason="plain Python is too slow")


def test_model_files():
    model_files.run(300, seed=1)


def test_kills():
    found = kills.main(4, seed=1, cold=False)
    assert found["killed"] > 0
    assert (found["with other results"], found["temporary files left"]) == (0, 0)
