"""Counters by which threads divide work in several phases among themselves, within one parallel region.

A phase is a number of items, which may be done in any order, but only after all items of the phase before. Each thread
takes the next item that no thread has taken, until there are none. Threads that are held up, by other programs or
slower cores, simply take fewer. Which thread does an item does not change results: what an item leaves for others, and
where, depends on the item alone. A thread's own scratch memory holds only what it needs during an item.

The items of all phases are numbered consecutively, and one counter gives out the numbers. A thread whose number lies
beyond the end of a phase waits until all items before that end are done, and goes on to the next phase:

    item, end = take(counters, TAKEN), 0
    for each phase:
        start, end = end, end + items of the phase
        while item < end:
            ...  # the work of item number `item - start`
            if finish(counters, end):
                ...  # the work of one thread at the end of the phase, before any thread begins the next
                release(counters, end)
            item = take(counters, TAKEN)
        wait(counters, end)

For example, let phase one have items 0, 1, 2 (end 3) and phase two items 3, 4 (end 5), for threads A and B. A takes 0,
B takes 1; A is done first and takes 2; B is done with 1, takes 3, and waits, as 3 is not less than the end. A is done
with 2, sees from `finish` that it is the third item done, releases phase two and takes 4. Now B does 3, and A does 4.

Threads wait for items, never for threads: they all get to the end even if one runs after the other, since a thread that
starts late finds no items left. A phase costs some 0.2 us on two threads, a parallel region 1.4 us with OpenMP, more
with Numba's other threading layers.

Intrinsics, functions that write LLVM instructions, are explained in `tile.emit`.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from ..jit import inlined

# Counters: items taken, items done, and the end of the items of all phases that are complete.
TAKEN, DONE, RELEASED = range(3)
SPACING = 16  # elements between two counters: 128 bytes, so that they are not in the same pair of cache lines
SPINS = 2000  # times that a waiting thread reads a counter, some 50 us, before it offers its core to other threads

_SYMBOL = "SwitchToThread" if platform.system() == "Windows" else "sched_yield"
# Instructions by which a core waits, each with its arguments; hint 1 is "yield".
_X86, _ARM = ("llvm.x86.sse2.pause", []), ("llvm.aarch64.hint", [1])
_PAUSE = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}.get(platform.machine())


def _counter(context, builder, signature, args):
    """LLVM pointer to counter number args[1] of the array args[0]."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [builder.mul(args[1], ir.Constant(ir.IntType(64), SPACING))])


@intrinsic
def take(typing, counters, which):
    """Add one to counter number `which` of an int64 array, atomically, and return its previous value."""

    def generate(context, builder, signature, args):
        pointer = _counter(context, builder, signature, args)
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "acq_rel")

    return types.int64(counters, types.intp), generate


@intrinsic
def read(typing, counters, which):
    """Value of counter number `which`; all that its writer wrote before it can be read after (an acquire load)."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(_counter(context, builder, signature, args), "acquire", 8)

    return types.int64(counters, types.intp), generate


@intrinsic
def write(typing, counters, which, value):
    """Set counter number `which`; all earlier writes of this thread become visible before it (a release store)."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[2], _counter(context, builder, signature, args), "release", 8)
        return context.get_dummy_value()

    return types.void(counters, types.intp, types.int64), generate


@intrinsic
def pause(typing):
    """Let the core wait for a moment, which saves power and leaves resources to the other hardware thread."""

    def generate(context, builder, signature, args):
        if _PAUSE:
            name, values = _PAUSE
            values = [ir.Constant(ir.IntType(32), value) for value in values]
            function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def give_way(typing):
    """Let the operating system run another thread on this core, if one is ready."""

    def generate(context, builder, signature, args):
        function = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, function, _SYMBOL), [])
        return context.get_dummy_value()

    return types.void(), generate


if config.DISABLE_JIT:  # plain Python runs on one thread

    def take(counters, which):
        """See the compiled `take`."""
        counters[which * SPACING] += 1
        return counters[which * SPACING] - 1

    def read(counters, which):
        """See the compiled `read`."""
        return counters[which * SPACING]

    def write(counters, which, value):
        """See the compiled `write`."""
        counters[which * SPACING] = value

    def pause():
        """See the compiled `pause`."""

    give_way = pause


@inlined
def finish(counters, end):
    """Count an item as done, and return whether it was the last of the items before `end`."""
    return take(counters, DONE) + 1 == end


@inlined
def release(counters, end):
    """Let the threads go on that wait for the items before `end`."""
    write(counters, RELEASED, end)


@inlined
def wait(counters, end):
    """Wait until another thread has released the items before `end` (see `release`)."""
    spins = 0
    while read(counters, RELEASED) < end:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            give_way()
