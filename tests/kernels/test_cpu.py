"""The table of register tiles."""

import pytest
from fastmlp_kernels.tile import engines as cpu
from fastmlp_kernels.tile.operations import SUM_ROWS

SHAPES = pytest.mark.parametrize("shape", cpu.ENGINES, ids=lambda shape: shape.name)
REGISTERS = {"avx512": 32, "avx2": 16, "neon": 32, "sse": 16}


@SHAPES
def test_a_tile_fits_into_the_registers(shape):
    operands = shape.vecs + 1  # vectors of one operand, and one value of the other
    assert shape.rows * shape.vecs + operands <= REGISTERS[shape.name]
    assert shape.gradient_rows * shape.vecs + operands <= REGISTERS[shape.name]


@SHAPES
@pytest.mark.parametrize("itemsize", [4, 8])
def test_tiles_divide_what_they_walk_over(shape, itemsize):
    assert shape.width(itemsize) == shape.vecs * shape.lanes(itemsize)
    assert shape.width(itemsize) % shape.gradient_rows == 0
    assert shape.rows % SUM_ROWS == 0


@SHAPES
def test_a_shape_can_be_forced(monkeypatch, shape):
    monkeypatch.setenv("FASTMLP_TILE", shape.name)
    assert cpu._choose("float32") is shape


def test_an_unknown_shape_is_refused(monkeypatch):
    monkeypatch.setenv("FASTMLP_TILE", "mmx")
    with pytest.raises(ValueError, match="'mmx'; accepted: avx512, avx2, neon, sse"):
        cpu._choose("float32")


@pytest.mark.parametrize(
    ("features", "name"),
    [
        ({"+avx512f", "+avx2", "+sse2"}, "avx512"),
        ({"+avx2", "-avx512f"}, "avx2"),
        ({"+neon"}, "neon"),
        ({"+sse2"}, "sse"),
        (set(), "sse"),
    ],
)
def test_the_widest_that_the_machine_has_is_chosen(monkeypatch, features, name):
    monkeypatch.delenv("FASTMLP_TILE", raising=False)
    monkeypatch.setattr(cpu, "FEATURES", frozenset(features))
    assert cpu._choose("float32").name == name
