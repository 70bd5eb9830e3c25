"""Machine code for AMX's tile registers, which LLVM writes on any CPU: what it must be to be fast and safe."""

import llvmlite.binding as llvm
import pytest
from fastmlp_kernels.tile.amx import Instructions
from fastmlp_kernels.tile.emit import I64
from llvmlite import ir

ROW, SQUARE = 128, 1024  # bytes of a row of sums, words of a square of operands


def product():
    """Module with a function of sums, operands and a number of steps, all in a loop: sums += left times right."""
    module, words = ir.Module(), ir.IntType(16).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [ir.FloatType().as_pointer(), words, words, I64])
    function = ir.Function(module, kind, "product")
    memory, left, right, steps = function.args
    entry, loop, end = map(function.append_basic_block, ("entry", "loop", "end"))
    builder, row = ir.IRBuilder(entry), ir.Constant(I64, ROW)
    Instructions(builder).configure()
    Instructions(builder).load(memory, row)
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(I64)
    place, following = builder.mul(step, ir.Constant(I64, SQUARE)), builder.add(step, ir.Constant(I64, 1))
    operands = builder.gep(left, [place]), ir.Constant(I64, ROW // 2), builder.gep(right, [place])
    Instructions(builder).add_terms(*operands)
    step.add_incoming(ir.Constant(I64, 0), entry)
    step.add_incoming(following, loop)
    builder.cbranch(builder.icmp_unsigned("<", following, steps), loop, end)
    builder.position_at_end(end)
    Instructions(builder).store(memory, row)
    Instructions(builder).release()
    builder.ret_void()
    return module


@pytest.fixture(scope="module")
def code():
    """Names of the instructions of `product` on the first CPU with AMX, in order."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    except RuntimeError:
        pytest.skip("this LLVM writes no code for x86-64")
    machine = target.create_target_machine(cpu="sapphirerapids", features="+amx-tile,+amx-bf16", opt=3)
    module = llvm.parse_assembly(str(product()))
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    lines = (line.split() for line in machine.emit_assembly(module).splitlines() if line.startswith("\t"))
    return [line[0] for line in lines if not line[0].startswith(".")]


def test_registers_are_configured_once_and_released_at_the_end(code):
    tiles = [name for name in code if name.startswith(("tile", "ldtile", "tdp"))]
    assert tiles[0] == "ldtilecfg"
    assert tiles[-1] == "tilerelease"
    assert tiles.count("ldtilecfg") == tiles.count("tilerelease") == 1


def test_sums_stay_in_the_registers(code):
    """Nothing but the sums at the end is stored; each step loads two registers of either operand for four products."""
    products = code.count("tdpbf16ps")
    assert products % 4 == 0
    assert products >= 4
    assert code.count("tileloadd") == products + 4  # and the sums at the start
    assert code.count("tilestored") == 4
    assert "tilezero" not in code
