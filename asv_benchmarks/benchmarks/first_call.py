"""Time of the import, and of the first training in a new interpreter, with and without a compiler cache."""

import os
import subprocess
import sys
import tempfile

PREPARE = """
import numpy as np
from fastmlp import MLP, Trainer
trainer, x, y = Trainer(MLP([8, 16, 1])), np.ones((32, 8), "float32"), np.ones((32, 1), "float32")
"""
TRAIN = "trainer.fit(x, y, epochs=1, progress=False)"


class Import:
    """Import of the packages, and of Numba alone, which they need."""

    number, repeat, warmup_time = 1, 5, 0

    def timeraw_import(self):
        return "import fastmlp"

    def timeraw_import_kernels(self):
        return "import fastmlp_kernels"

    def timeraw_import_numba(self):
        return "import numba"


class Compile:
    """First training with an empty cache folder, which compiles the kernels."""

    number = repeat = rounds = min_run_count = 1
    warmup_time, timeout = 0, 600

    def setup(self):
        self.folder, self.previous = tempfile.TemporaryDirectory(), os.environ.get("FASTMLP_CACHE_DIR")
        os.environ["FASTMLP_CACHE_DIR"] = self.folder.name

    def timeraw_first_fit(self):
        return TRAIN, PREPARE

    def teardown(self):
        del os.environ["FASTMLP_CACHE_DIR"]
        if self.previous is not None:
            os.environ["FASTMLP_CACHE_DIR"] = self.previous
        self.folder.cleanup()


class Load:
    """First training with compiled code in the cache folder."""

    number, repeat, warmup_time, timeout = 1, 5, 0, 600

    def setup(self):
        subprocess.run([sys.executable, "-c", PREPARE + TRAIN], check=True)

    def timeraw_first_fit(self):
        return TRAIN, PREPARE
