"""Compiler options of all kernels; their machine code is cached on disk (see `cache`).

A *kernel* is a function that Numba compiles with these options; a *driver* is one that divides many rows among threads
(see `drivers`). An *engine* is the instruction set that matrix products use (see `tile.engines`).
"""

from types import FunctionType

import numba
from numba import types
from numba.core import config
from numba.core.cpu_options import ParallelOptions
from numba.extending import intrinsic, overload, register_jitable

from . import cache
from .cache import CACHE_FOLDER, SOURCES  # noqa: F401  users find them here

# No fastmath: sums keep their order and NaN checks stay. The numpy error model makes x / 0 inf instead of a branch.
# No reference counts (`_nrt`): arrays belong to the caller, and counting, an atomic operation per array of a tuple at
# each call, took a fifth of the time of the smallest training steps. So no kernel can allocate or return an array.
# No wrappers for C callbacks: the few functions with an address have their own (see `calls`). Compiling takes 8 % less.
OPTIONS = {"error_model": "numpy", "nogil": True, "boundscheck": False, "_nrt": False, "no_cfunc_wrapper": True}
INLINED = {"forceinline": True, **OPTIONS}  # options of a kernel that is always inlined into its callers
# Options of automatic parallelization, turned off: only `prange` makes parallel regions. Left on, they would turn array
# assignments into regions too, and fuse consecutive regions although the second needs all results of the first.
AUTOMATIC = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")


def njit(function, **options):
    """Compile a serial kernel with the options and the cache that all kernels share, and more `options` of Numba's."""
    return cache.use(numba.njit(**OPTIONS, **options)(function), function)


def inlined(function):
    """Decorate a kernel that LLVM inlines into its compiled callers, so that tiles passed on stay in registers.

    It is typed once for each combination of argument types, whatever the number of its callers. In Python it stays as
    it is: machine code that Python can call, and a cache file, for each of these small functions would cost a fifth of
    the time that a first training waits for.
    """
    return register_jitable(**INLINED)(function)


def spliced(function):
    """Decorate a kernel that Numba writes into its callers before they are typed.

    It is not compiled by itself, which saves time where a kernel has one caller; with several, each types it again, and
    `inlined` is better.
    """
    return numba.njit(inline="always", **OPTIONS)(function)


def uncached(function):
    """Compile a function written by the user, inlined into its callers, none of which may be cached on disk.

    The hash of the sources does not cover what the function depends on: it may come from a notebook and call anything.
    """
    return numba.njit(**INLINED)(function)


def parallel_njit(function):
    """Compile a driver whose `prange` loops run on Numba's threads."""
    regions = ParallelOptions(dict.fromkeys(AUTOMATIC, False))  # Numba would empty a dict at the first signature
    return cache.use(numba.njit(parallel=regions, **OPTIONS)(function), function)


def cached_njit(**options):
    """Decorator like numba.njit(**options), for functions that call kernels, cached until a kernel source changes.

    A change of the function's own source file counts, too (see `cache`). Functions that take a `Network` as an argument
    do not need this decorator, `numba.njit(cache=True)` is enough: the type of `Network` changes with the sources.
    """
    return lambda function: cache.use(numba.njit(**options)(function), function)


def by_class(cls, for_class, for_others):
    """Function that calls `for_class` if its first argument is a `cls`, a named tuple, and `for_others` if it is not.

    Numba chooses by the type when it compiles a call, so that the other is not in the machine code. Both are plain
    functions, inlined into the caller, and take the same arguments by position. The docstring is that of `for_others`.
    """

    def choose(x, *args):
        return (for_class if isinstance(x, cls) else for_others)(x, *args)

    def compiled(x, *args):
        return for_class if isinstance(x, types.NamedTuple) and x.instance_class is cls else for_others

    choose.__doc__ = for_others.__doc__
    overload(choose, jit_options=INLINED, strict=False)(compiled)  # not strict: the names of arguments differ
    return choose


@intrinsic
def use_whole_vectors(typing):
    """Let loops of the function that calls this be compiled to the CPU's whole vectors, also where LLVM prefers halves.

    It does for Intel's AVX-512. Steps with layers of 64 ReLU units, in bf16-mixed on a Xeon with AMX, were 2 % faster
    with whole vectors for activations.
    """

    def generate(context, builder, signature, args):
        attributes = builder.function.attributes
        set.add(attributes, '"prefer-vector-width"="512"')  # llvmlite's own `add` takes only attributes that it lists
        attributes.add("noinline")  # else loops would have the attributes of a caller
        return context.get_dummy_value()

    return types.void(), generate


if config.DISABLE_JIT:

    def use_whole_vectors():
        """See the compiled `use_whole_vectors`: NumPy chooses its instructions."""


# Decorator of functions that are no kernels: in Python they are plain Python, and compiled callers compile them with
# their own options. So they may make arrays, which no kernel can (see OPTIONS).
compiled_by_callers = register_jitable


def specialize(template, name, **names):
    """Copy of the plain function `template`, named `name`, whose globals `names` are bound to other objects.

    Its other globals are copied as they are at the call. Defaults of keyword-only arguments are lost, and a closure is
    refused.

    For example, with a template `def square_of(x): return inner(x) ** 2`, specialize(square_of, "square_of_sin",
    inner=sin) gives the function sin(x) ** 2. So one loop nest serves several inner functions, each copy inlined and
    cached on disk under its own name. Closures would not do: Numba cannot cache closures over compiled functions, and
    its cache is keyed on the function's name.
    """
    function = FunctionType(template.__code__, {**template.__globals__, **names}, name, template.__defaults__)
    function.__qualname__, function.__doc__ = name, template.__doc__
    return function
