"""Runs of Python in processes of their own, for tests of other builds, of the examples, and of new processes."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}  # of threading layers


def is_there(module):
    """Whether a threading layer of Numba, which may lack its library, can be imported."""
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError:
        return False
    return True


LAYERS = [name for name, module in MODULES.items() if is_there(module)]


def python(*arguments, **environment):
    """Run Python in the repository and return what it prints; on failure, show it."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    return done.stdout
