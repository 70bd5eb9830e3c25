"""The inner loops of products, as machine code of this CPU: sums and operands stay in vector registers."""

import platform
import re

import numba
import numpy as np
import pytest
from fastmlp_kernels.layout.panels import Matrix
from fastmlp_kernels.products.gradients import weight_gradient
from fastmlp_kernels.products.product import plain_panel
from fastmlp_kernels.tile.engines import ENGINE, refusal

from tests.kernels.cases import DTYPES, PLAIN

pytestmark = [
    pytest.mark.skipif(PLAIN, reason="nothing is compiled"),
    pytest.mark.skipif(bool(refusal(ENGINE)), reason="a tile of another CPU has more registers than this one"),
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="about machine code of x86-64"),
]


def run_product(numbers, a, b, depth, rows):
    c = Matrix(numbers, 0, rows)
    plain_panel(c, Matrix(a, 0, rows), Matrix(b, 0, depth), 0, depth, depth, rows, c, c)


def run_gradient(numbers, a, b, inputs, rows):
    weight_gradient(Matrix(numbers, 0, inputs), Matrix(a, 0, rows), Matrix(b, 0, rows), 0, inputs, rows, True)


@pytest.mark.parametrize("run", [run_product, run_gradient])
@DTYPES
def test_nothing_is_spilled(run, dtype):
    array = numba.from_dtype(np.dtype(dtype))[::1]
    (assembly,) = numba.njit((array, array, array, numba.intp, numba.intp))(run).inspect_asm().values()
    # Of each part of the code without labels that has many multiplications: from the first of them to the last.
    blocks, multiplications = re.split(r"\n(?=\.?LBB)", assembly), r"\sv?f?n?madd.*\n|\sv?mul[ps][sd].*\n"
    parts = [list(re.finditer(multiplications, code)) for code in blocks]
    loops = [
        code[found[0].start() : found[-1].end()]
        for code, found in zip(blocks, parts, strict=True)
        if len(found) >= ENGINE.gradient_rows
    ]
    assert loops
    assert not [line for loop in loops for line in re.findall(r".*\(%rsp.*", loop) if "mm" in line]
