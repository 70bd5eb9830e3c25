"""Compilation ahead of time: what it leaves in the cache serves other processes, homes and folders."""

import shutil

import pytest
from fastmlp_kernels import compile as kernels_compile

from fastmlp.cli import main
from tests.fastmlp.test_guarantees import jit_only, run_python

# Prints the names of the functions that this process compiled.
SCRIPT = """
    import json
    import numpy as np
    from scipy.sparse import csr_array
    from fastmlp_kernels import cache
    compiled = []
    cache.KernelCache.save_overload = lambda self, *args: compiled.append(self._name)
    from fastmlp import MLP, Trainer
    from fastmlp._kernels import ACTIVATIONS
    from fastmlp_kernels.panelwise.losses import LOSSES
    x = np.random.default_rng(0).random((900, 40), dtype=np.float32)
    for rows in x, csr_array(x), x[:50]:
        y = np.arange(len(x))[: rows.shape[0]] % 20
        net = MLP([40, 60, 20], "tanh", "softmax", seed=1)
        options = {"optimizer": "nesterov", "dropout": 0.1, "clip_norm": 1}
        trainer = Trainer(net, "cross_entropy", batch_size=rows.shape[0], **options)
        trainer.fit(rows, y, 2, validation_data=(rows, y), progress=False)
        net.predict(rows), net.evaluate(rows, y), net.gradient(rows, y)
    net.backpropagate(x[:3], np.zeros(3, int))
    for name, row in ACTIVATIONS.items():
        if row.differentiable:
            net = MLP([40, 5, 1], name)
            Trainer(net, "squared_error", optimizer="adam").fit(x[:9], x[:9, 0], 1, progress=False)
    for name, output in LOSSES:
        output = "identity" if output == "elementwise" else output
        net = MLP([40, 5, 2], "relu", output)
        targets = np.eye(2, dtype=np.float32)[np.arange(9) % 2][:, : 1 if name == "gaussian_nll" else 2]
        Trainer(net, name).fit(x[:9], targets, 1, progress=False)
    print(json.dumps(compiled))
"""


@jit_only
def test_a_filled_cache_serves_another_home_and_folder_that_cannot_be_written(tmp_path, capsys):
    pytest.importorskip("scipy")
    assert main(["compile"]) == 0
    assert str(kernels_compile.CACHE_FOLDER) in capsys.readouterr().out
    copy = tmp_path / "image" / kernels_compile.CACHE_FOLDER.name
    shutil.copytree(kernels_compile.CACHE_FOLDER, copy)
    copy.chmod(0o500)
    before = sorted(copy.iterdir())
    home = {"FASTMLP_CACHE_DIR": str(copy.parent), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert run_python(SCRIPT, **home) == []
    assert sorted(copy.iterdir()) == before


OPTIONS = ("--dtype", "float16"), ("--precision", "half")


@pytest.mark.parametrize("options", OPTIONS, ids="=".join)
def test_options_that_are_not_accepted_are_refused_in_one_line(options, capsys):
    assert main(["compile", *options]) == 2
    assert options[0].strip("-") in capsys.readouterr().err


def test_no_cache_folder_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr("fastmlp.cli.compile.CACHE_FOLDER", None)
    assert main(["compile"]) == 2
    assert "no cache folder can be written" in capsys.readouterr().err
