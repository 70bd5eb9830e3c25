"""C functions that evaluate and differentiate a network, for callers that are not Python.

A caller hands over one pointer for the network and its scratch memory. It points to a struct of addresses and sizes,
from which the C functions make the tuples of arrays that the kernels take. They do not allocate, call Python or need
its lock (those decorated `compiled_by_callers` only make arrays of memory that is there already, which no kernel may
return). `fastmlp.h` declares their types.
"""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numba import carray, types
from numba.core import config
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from ..calls import c_function
from ..jit import compiled_by_callers
from ..layout.network import LAYER, Network, sizes
from .batch import RowsWorkspace, forward_rows
from .make import workspace
from .one_sample import forward_one
from .reverse import vjp_rows

INCLUDE = str(Path(__file__).parent)  # the folder of fastmlp.h

# Fields of the struct. The first two are public: see fastmlp.h.
_SCALARS = ("n_in", "n_out", "softmax", "block")
# In the order of the fields of Network and RowsWorkspace, from which `CNetwork` takes the arrays.
_ARRAYS = ("layers", "weights", "transposed", "activations", "deltas", "scratch")
# An array is its address and its number of elements. Addresses are ctypes pointers, since a structure with such fields
# cannot be pickled or copied: a copy could outlive the arrays.
_FIELDS = [(name, ctypes.c_int64) for name in _SCALARS]
_FIELDS += [field for name in _ARRAYS for field in ((name, ctypes.c_void_p), (f"{name}_size", ctypes.c_int64))]
_STRUCT = np.dtype([(name, np.int64) for name, _ in _FIELDS])  # the same struct as compiled code reads it


@intrinsic
def _pointer(typing, address, like):
    """C pointer of the type of `like` to an address, an int."""

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(like))

    return like(address, like), generate


@compiled_by_callers
def _network(struct, like):
    """Network whose arrays a struct points to; `like` is a C pointer to numbers of its dtype."""
    s = carray(struct, 1, _STRUCT)[0]
    return Network(
        carray(_pointer(s.layers, struct), s.layers_size, LAYER),
        carray(_pointer(s.weights, like), s.weights_size),
        carray(_pointer(s.transposed, like), s.transposed_size),
        s.softmax != 0,
    )


@compiled_by_callers
def _workspace(struct, like):
    """RowsWorkspace whose arrays a struct points to; `like` is a C pointer to numbers of its dtype."""
    s = carray(struct, 1, _STRUCT)[0]
    return RowsWorkspace(
        s.block,
        carray(_pointer(s.activations, like), s.activations_size),
        carray(_pointer(s.deltas, like), s.deltas_size),
        carray(_pointer(s.scratch, like), s.scratch_size),
    )


def _forward(struct, rows, x, outputs):
    """See `CNetwork.forward`."""
    s, network, space = carray(struct, 1, _STRUCT)[0], _network(struct, x), _workspace(struct, x)
    return not forward_rows(carray(outputs, (rows, s.n_out)), network, space, carray(x, (rows, s.n_in)))


def _forward_one(struct, x, outputs):
    """See `CNetwork.forward_one`."""
    s, network, space = carray(struct, 1, _STRUCT)[0], _network(struct, x), _workspace(struct, x)
    forward_one(carray(outputs, s.n_out), network, space, carray(x, s.n_in))


def _vjp(struct, rows, x, output_gradients, input_gradients):
    """See `CNetwork.vjp`."""
    s, network, space = carray(struct, 1, _STRUCT)[0], _network(struct, x), _workspace(struct, x)
    ins, outs = (rows, s.n_in), (rows, s.n_out)
    vjp_rows(carray(input_gradients, ins), network, space, carray(x, ins), carray(output_gradients, outs))


def _integrand(n, x, struct):
    """See `CNetwork.integrand`."""
    s = carray(struct, 1, _STRUCT)[0]
    if n != s.n_in:
        return np.nan
    space = _workspace(struct, x)
    forward_one(space.scratch, _network(struct, x), space, carray(x, n))  # it does not use `scratch` itself
    return space.scratch[0]


@cache
def _compiled(function, dtype):
    """Compile one of the C functions above for networks of a dtype: a `numba.cfunc`."""
    if config.DISABLE_JIT:
        raise RuntimeError("C functions are machine code, but NUMBA_DISABLE_JIT is set; accepted: a process without it")
    struct_type, rows_type, array_type = types.voidptr, types.int64, types.CPointer(from_dtype(dtype))
    signatures = {
        _forward: types.int32(struct_type, rows_type, array_type, array_type),
        _forward_one: types.void(struct_type, array_type, array_type),
        _vjp: types.void(struct_type, rows_type, array_type, array_type, array_type),
        _integrand: types.float64(types.int32, array_type, struct_type),
    }
    return c_function(function, signatures[function])


class CNetwork(ctypes.Structure):
    """Struct of a network and of scratch memory for one thread, as C functions take it; `handle` is its address.

    The network is not copied: C functions see every change of its weights. Several structs, one for each thread, may
    share a network.

    Each C function is an attribute, compiled when first asked for and cached on disk. It has the attributes `address`
    (an int) and `ctypes` (a function of that module). Matrices are row-major, of the network's dtype; only one thread
    at a time may use a handle. The C declarations are in `fastmlp.h`, in the folder INCLUDE.

    Parameters
    ----------
    network : Network
    rows : int
        Rows of a block that is worked on at a time (see `embed.make.workspace`); C functions take any number of rows.

    Raises
    ------
    TypeError
        If `network` is not a Network.
    ValueError
        If `rows` is not positive.
    """

    _fields_ = _FIELDS

    def __init__(self, network, rows):
        if not isinstance(network, Network):
            raise TypeError(f"network is {type(network).__name__}; accepted: a Network of fastmlp_kernels")
        if rows < 1:
            raise ValueError(f"rows is {rows}; accepted: 1 or more")
        space, units = workspace(network, rows), sizes(network)
        arrays = *network[:3], *space[1:]  # in the order of _ARRAYS
        addresses = [part for array in arrays for part in (array.ctypes.data, array.size)]
        super().__init__(units[0], units[-1], int(network.softmax), int(space.block), *addresses)
        self.network, self._arrays = network, arrays  # kept alive, since the struct points to their memory

    @property
    def handle(self):
        """Address of the struct, a `ctypes.c_void_p`, which keeps the struct and all arrays it points to alive."""
        return ctypes.cast(ctypes.pointer(self), ctypes.c_void_p)

    @property
    def forward(self):
        """C function int forward(network, rows, x, outputs), which returns 0, or 1 if an input is not finite.

        See `embed.batch.forward_rows`.
        """
        return self._function(_forward)

    @property
    def forward_one(self):
        """C function void forward_one(network, x, outputs), for one sample (see `embed.one_sample.forward_one`)."""
        return self._function(_forward_one)

    @property
    def vjp(self):
        """C function void vjp(network, rows, x, output_gradients, input_gradients) (see `embed.reverse.vjp_rows`).

        A ValueError is raised if the network was not made for derivatives with respect to its inputs.
        """
        if self.network.layers["transposed"][0] < 0:
            raise ValueError(
                "network keeps no transpose of its first layer; accepted: one made by `network`, or an MLP's"
            )
        return self._function(_vjp)

    @property
    def integrand(self):
        """C function ``double integrand(int n, double *x, void *network)``: the output at x; NaN if n is not n_in.

        SciPy's functions, such as `scipy.integrate.quad`, take it as LowLevelCallable(integrand.ctypes, handle). A
        ValueError is raised if the network has several outputs, or is not float64.
        """
        dtype = self.network.weights.dtype
        if self.n_out != 1 or dtype != np.float64:
            raise ValueError(f"network is {dtype} with {self.n_out} outputs; accepted as integrand: float64 with one")
        return self._function(_integrand)

    def _function(self, function):
        """Compiled form of `function` for the network's dtype."""
        return _compiled(function, self.network.weights.dtype)
