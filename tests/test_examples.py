"""The examples run, and find what they say they find."""

import re

import pytest
from numba.core import config

from tests.builds import ROOT, python

# The last line that each prints: a number, and the bound that it has to keep.
RESULTS = {
    "boundary_value": r"largest error (\S+) \(at most (\S+)\)",
    "neural_ode": r"RMS error over the whole spiral (\S+) \(at most (\S+)\)",
    "monte_carlo": r"failures by the network off by (\S+) of all cases \(at most (\S+), the standard error\)",
    "digits": r"accuracy lost (\S+) \(at most (\S+)\)",
    "grid_search": r"wines of the held-out part mistaken (\S+) \(at most (\S+)\)",
    "imbalanced": r"balanced error with weights, of that without (\S+) \(at most (\S+)\)",
    "quantiles": r"share of new samples in the band, off 0.9 by (\S+) \(at most (\S+)\)",
    "sparse_text": r"topics taken for the other (\S+) \(at most (\S+)\)",
    "cart_pole": r"mean steps short of the longest episode (\S+) \(at most (\S+)\)",
}


def test_every_example_is_run():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(RESULTS)


@pytest.mark.parametrize("example", [] if config.DISABLE_JIT else RESULTS)  # hours as plain Python
def test_example_keeps_its_bound(example):
    printed = python(f"examples/{example}.py")
    found = re.fullmatch(RESULTS[example], printed.splitlines()[-1])
    assert found, printed
    assert float(found[1]) <= float(found[2])
