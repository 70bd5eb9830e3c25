"""Work handed out by ticket: each thread takes the next item that nobody has taken, until there are none.

Threads that are held up, by other programs or slower cores, then simply take fewer. Which thread does an item never
shows in results, since an item's sums and the memory it writes depend on the item alone.
"""

from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

SPACING = 8  # counters apart, so that two are not in one cache line


@intrinsic
def take(typing, counters, which):
    """Add one to counter number `which` of an int64 array, atomically, and return what it was."""
    signature = types.int64(counters, types.intp)

    def generate(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        counter = builder.gep(array.data, [builder.mul(args[1], ir.Constant(ir.IntType(64), SPACING))])
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "monotonic")

    return signature, generate


if config.DISABLE_JIT:  # plain Python runs on one thread

    def take(counters, which):
        counters[which * SPACING] += 1
        return counters[which * SPACING] - 1
