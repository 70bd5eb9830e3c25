"""The table of register tiles."""

import os
import platform
import subprocess
import sys

import pytest
from fastmlp_kernels.tile import engines as cpu
from fastmlp_kernels.tile import permission
from fastmlp_kernels.tile.operations import SUM_ROWS

FLOATS = [shape for shape in cpu.ENGINES if shape.operands == cpu.FLOATS]
SHAPES = pytest.mark.parametrize("shape", FLOATS, ids=lambda shape: shape.name)
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


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="features of x86")
@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"NUMBA_CPU_NAME": "generic"}, "sse False"),
        ({"NUMBA_CPU_FEATURES": "+avx2"}, "avx2 False"),
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}, "avx2 True"),
    ],
)
def test_the_engine_is_for_the_cpu_that_numba_compiles_for(variables, found):
    script = "from fastmlp_kernels.tile.engines import ENGINE, HAS_FMA; print(ENGINE.name, HAS_FMA)"
    environment = {name: value for name, value in os.environ.items() if name != "FASTMLP_TILE"} | variables
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found


def test_an_unknown_shape_is_refused(monkeypatch):
    monkeypatch.setenv("FASTMLP_TILE", "mmx")
    with pytest.raises(ValueError, match="'mmx'; accepted: avx512, avx2, neon, sse, bf16-amx, bf16-dot, bf16-emulated"):
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


AMX, DOT = {"+avx512f", "+avx512bf16", "+amx-bf16"}, {"+avx512f", "+avx512bf16", "+sse4a"}


@pytest.mark.parametrize(
    ("features", "refused", "name"),
    [
        (AMX, "", "bf16-amx"),
        (AMX, "the operating system refuses", None),  # AVX512_BF16 of Intel's CPUs is slower than float32
        (AMX | DOT, "the operating system refuses", "bf16-dot"),
        (DOT, "", "bf16-dot"),
        ({"+avx512f"}, "", None),
        ({"+avx2"}, "", None),  # the emulation is for those who ask for it
    ],
)
def test_the_engine_for_bfloat16_that_the_machine_can_run_is_chosen(monkeypatch, features, refused, name):
    monkeypatch.delenv("FASTMLP_TILE", raising=False)
    monkeypatch.setattr(cpu, "FEATURES", frozenset(features))
    monkeypatch.setattr(cpu, "amx_refusal", lambda: refused)
    chosen = cpu._choose("uint16", cpu._choose("float32").width(4))
    assert (chosen and chosen.name) == name
    monkeypatch.setattr(cpu, "_CHOSEN", {"uint16": chosen})
    reasons = cpu.bfloat16_refusal()
    assert bool(reasons) == (name is None)
    assert refused in reasons or name


def test_the_emulation_makes_panels_of_float32_as_wide(monkeypatch):
    monkeypatch.setenv("FASTMLP_TILE", "bf16-emulated")
    assert cpu._choose("uint16").name == "bf16-emulated"
    assert cpu._choose("float32").width(4) == cpu._choose("uint16").width(4)


@pytest.mark.parametrize("name", ["bf16-amx", "bf16-dot"])
def test_an_engine_that_the_machine_cannot_run_is_refused(monkeypatch, name):
    monkeypatch.setenv("FASTMLP_TILE", name)
    monkeypatch.setattr(cpu, "FEATURES", frozenset({"+avx2"}))
    with pytest.raises(RuntimeError, match=f"{name}', but the CPU lacks .*accepted here: bf16-emulated"):
        cpu._choose("float32")


def test_a_refusal_of_the_operating_system_comes_in_words(monkeypatch):
    """As on systems that know AMX but do not lend it, or do not know it, or of which it is not known how to ask."""

    class Refusing:
        def syscall(self, *_):
            return -1

    permission.amx_refusal.cache_clear()
    monkeypatch.setattr(permission.ctypes, "CDLL", lambda *_, **__: Refusing())
    monkeypatch.setattr(permission.platform, "machine", lambda: "x86_64")
    for system, reason in (
        ("linux", "refuses AMX's tile registers"),
        ("darwin", "on Linux on x86-64 only, not on darwin"),
    ):
        monkeypatch.setattr(permission.sys, "platform", system)
        assert reason in permission.amx_refusal()
        permission.amx_refusal.cache_clear()


# A filter of system calls that answers EPERM to arch_prctl(ARCH_REQ_XCOMP_PERM, ...), the request for tile registers.
REFUSED = """
import ctypes

class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]

class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction))]

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
steps = (Instruction * 6)(
    (LOAD, 0, 0, 0),  # the number of the call
    (JUMP_IF_EQUAL, 0, 3, 158),
    (LOAD, 0, 0, 16),  # its first argument
    (JUMP_IF_EQUAL, 0, 1, 0x1023),
    (RETURN, 0, 0, 0x00050001),  # errno 1, EPERM
    (RETURN, 0, 0, 0x7FFF0000),  # allowed
)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges, without which filters are refused
if libc.prctl(22, 2, ctypes.byref(Program(6, steps))):
    print("no filter")
else:
    from fastmlp_kernels.tile.permission import amx_refusal
    print(amx_refusal())
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="AMX is asked for there only")
def test_a_filter_of_system_calls_refuses_in_words():
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if done.stdout == "no filter\n":
        pytest.skip("filters of system calls are not allowed here")
    assert done.stdout == "the operating system refuses AMX's tile registers (errno 1)\n"
