"""Fortran modules of networks: compiled, and compared with `predict`."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from fastmlp import MLP, register_activation
from fastmlp.tables.datasets import Table
from tests.trained import trained

# The module of a bare network in float64, and those of two that `fastmlp train` saved.
PROGRAM = """
program main
  use bare
  use kind
  use Cost
  implicit none
  integer :: unit, k
  real(bare_real) :: bare_x(bare_n_inputs), bare_y(bare_n_outputs)
  real(kind_real) :: kind_x(kind_n_inputs), kind_y(kind_n_outputs)
  real(cost_real) :: cost_x(cost_n_inputs), cost_y(cost_n_outputs)
  open (newunit=unit, file="results", access="stream", form="unformatted", status="new")
  do k = 1, bare_n_inputs
    bare_x(k) = 0.5_bare_real / k
  end do
  call bare_predict(bare_x, bare_y)
  write (unit) bare_y
  kind_x = [1.5_kind_real, real(kind_category(2, "red  "), kind_real)]
  call kind_predict(kind_x, kind_y)
  write (unit) kind_y, kind_label(kind_x), kind_class(kind_label(kind_x))
  write (unit) kind_category(2, "green"), kind_category(2, ""), kind_category(2, "re")
  do k = 1, kind_n_outputs
    write (unit) kind_class(k)
  end do
  cost_x = 2
  call cost_predict(cost_x, cost_y)
  write (unit) cost_y
end program
"""


@pytest.mark.skipif(not (shutil.which("gfortran") and shutil.which("gcc")), reason="there is no Fortran compiler")
def test_a_program_gets_the_results_of_predict(tmp_path):
    bare = MLP([40, 3], output_activation="sigmoid", dtype="float64")
    _, learned, kind = trained(
        {"size": [0.5, 1.0, 3.0], "colour": ["red", "green", "red"]}, ["größe", 'a "b"', "new\nline"]
    )
    _, costs, cost = trained({"size": [1.0, 2.5]}, [50.0, 60.0])
    bare.to_fortran(tmp_path / "bare.f90")
    kind.to_fortran(tmp_path / "kind.f90")
    cost.to_fortran(tmp_path / "Cost.f90")
    (tmp_path / "program.f90").write_text(PROGRAM)
    sources = [f"{name}{ending}" for name in ("bare", "kind", "Cost") for ending in ("_c.c", ".f90")]
    compilers = ["gcc", "-c", "-std=c99"], ["gfortran", "-c", "-std=f2008", "-pedantic"]
    for source in [*sources, "program.f90"]:
        command = [*compilers[source.endswith(".f90")], "-Wall", "-Wextra", "-Werror", source]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[:4000]
    objects = [f"{source.rsplit('.', 1)[0]}.o" for source in [*sources, "program.f90"]]
    subprocess.run(["gfortran", *objects, "-lm", "-o", "program"], cwd=tmp_path, check=True, timeout=300)
    subprocess.run([tmp_path / "program"], cwd=tmp_path, check=True, timeout=60)

    longest = max(len(name.encode()) for name in learned.classes)
    layout = [("bare", "f8", 3), ("kind", "f4", 3), ("label", "i4"), ("name", f"S{longest}"), ("texts", "i4", 3)]
    layout += [("names", f"S{longest}", 3), ("cost", "f4", 1)]
    (found,) = np.fromfile(tmp_path / "results", np.dtype(layout))
    np.testing.assert_allclose(found["bare"], bare.predict([0.5 / np.arange(1, 41)])[0], rtol=1e-14)
    table = Table("test", {"size": np.array([1.5]), "colour": np.array(["red"], object)})
    expected = kind.predict(learned.transform(table))
    np.testing.assert_allclose(found["kind"], expected[0], rtol=1e-5)
    assert found["label"] == expected.argmax() + 1
    names = [name.decode().rstrip() for name in found["names"]]
    assert names == list(learned.classes)
    assert found["name"].decode().rstrip() == learned.decode_prediction(expected)[0]
    assert found["texts"].tolist() == [0, -1, -1]  # of green, nothing, and a part of red
    table = Table("test", {"size": np.array([2.0])})
    np.testing.assert_allclose(found["cost"], costs.decode_prediction(cost.predict(costs.transform(table))), rtol=1e-5)


NAMES = "churn_model_2024_06_27_v1", "customer_churn_model_of_the_year_2024_june", "Z" * 90


@pytest.mark.parametrize("name", NAMES, ids=len)
def test_long_names_give_lines_and_names_that_the_standard_allows(tmp_path, name):
    columns = {"größe " * 40: [0.5, 1.0, 3.0], "colour": ["red", "green", "red"]}
    _, _, net = trained(columns, ["a", "b" * 300, "c"])
    net.to_fortran(tmp_path / f"{name}.f90")
    code = (tmp_path / f"{name}.f90").read_bytes()
    assert max(map(len, code.splitlines())) <= 132
    assert max(map(len, re.findall(rb"\w+", re.sub(rb"!.*", b"", code)))) <= 63
    if shutil.which("gfortran"):
        command = ["gfortran", "-fsyntax-only", "-std=f2003", "-pedantic", "-Wall", "-Wextra", "-Werror", f"{name}.f90"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[:4000]


def test_what_cannot_be_written_is_refused_before_either_file_is(tmp_path):
    register_activation("square", value=lambda z: z * z, derivative=lambda z: z + z)
    with pytest.raises(ValueError, match="activation of layer 1 is 'square'"):
        MLP([2, 3, 1], "square").to_fortran(tmp_path / "net.f90")
    assert not list(tmp_path.iterdir())
