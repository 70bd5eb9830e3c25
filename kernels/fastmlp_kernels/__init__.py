"""Multilayer perceptrons for use inside other compiled code.

The public functions are of three kinds:

- Preparation, from Python only: `register_activation`, `register_loss`, `activation_code`, `loss`, `network_for` (a
  network's form for sparse inputs), `most_nonzeros` (of any batch, for which a workspace needs room),
  `training_workspace`, `prediction_scratch`, and the class `CNetwork`.
- Making arrays, from Python or from any `@njit` function: `network`, `mixed_network` (the same with bfloat16 operands
  of products), `data`, `optimizer_state`, `packed_gradient` (zeros with a place for each parameter), `progress` (the
  sums that training adds to), `workspace` and `workspaces` (scratch memory of one thread, of many), `taylor_workspace`
  and `taylor_workspaces` (the same for second derivatives, without bfloat16).
- Working on these arrays, from Python or from any `@njit` function: all others. They do not allocate, and are
  reentrant: in a `prange` loop each thread needs a workspace of its own. All are serial but the *drivers* `train`,
  `evaluate` and `predict`, which run on Numba's threads, so that their callers must be serial; each has a serial twin,
  such as `train_serial`. None raises, but for the drivers: a RuntimeError if this process has not made their memory by
  `training_workspace`, or `prediction_scratch` for `predict`. Two are for `@njit` functions alone: `flush_subnormals`
  and `restore_mode`, which change how the thread computes.

The modules `vectormath` (elementary functions that become vector code), `scalar` (operations that these are made of,
such as fused multiply-add) and `tile` (small matrices in registers, which all matrix products are built from) can be
used in kernels of your own.

Words that every file uses: a *kernel* is a function compiled by Numba with the options of `jit`, and a driver is a
kernel that divides many rows among threads. An *engine* is an instruction set with the size of register tile that suits
it (see `tile.engines`). A *panel* is `panel_width` neighboring columns of a matrix, as many as a tile of the engine
has, stored row by row; matrices are stored panel after panel (see `layout.panels`). *Packed* weights are all of a
network's weights and biases in panels, in one array (see `layout.network`). Ranges, such as rows first..last, exclude
their end.

Each folder is described in its opening docstring. A folder imports only from folders to its left ::

    tile, functions <- layout <- panelwise <- products <- drivers <- embed

Of the files beside them, `jit`, `cache` (machine code on disk), `calls` (calls by address), `memory` (aligned arrays)
and `subnormals` (the floating-point mode) import from no folder, and all folders may import them; `custom` (functions
of the user's own) imports from `functions` and `panelwise`.
"""

import sys

from . import jit
from .custom import register_activation, register_loss
from .drivers.evaluation import evaluate, evaluate_serial
from .drivers.plan import most_nonzeros
from .drivers.prediction import predict, predict_serial, prediction_scratch
from .drivers.step import Progress
from .drivers.training import train, train_serial, training_workspace
from .embed.batch import MixedWorkspace, RowsWorkspace, forward_rows
from .embed.c_interface import INCLUDE, CNetwork
from .embed.forward_mode import jvp_rows
from .embed.make import (
    data,
    mixed_network,
    network,
    optimizer_state,
    packed_gradient,
    progress,
    taylor_workspace,
    taylor_workspaces,
    workspace,
    workspace_of,
    workspaces,
)
from .embed.one_sample import forward_one
from .embed.reverse import gradient_rows, jacobian_one, loss_gradient_rows, vjp_rows
from .embed.taylor import TaylorWorkspace, taylor_rows
from .embed.taylor_gradient import taylor_gradient_rows
from .embed.update import gradient_norm, optimizer, update_network
from .functions import scalar, vectormath
from .functions.activation_table import activation_code
from .functions.updates import KINDS, NO_UPDATE, NONE, Optimizer, State
from .layout.network import MixedNetwork, Network, pack, parameter_count, set_dropout, unpack
from .layout.samples import Data
from .layout.samples import SparseRows as Rows
from .panelwise.losses import Loss, loss
from .products.first_layer import network_for
from .subnormals import flush_subnormals, restore_mode
from .tile import engines

# Constants for the kinds of optimizers: SGD, ADAM, ...
_KINDS = {name.upper(): kind for name, kind in KINDS.items()}
globals().update(_KINDS)
# Names under which users import modules that live in folders or under other names.
compile, cpu = jit, engines
for _name, _module in {"compile": jit, "cpu": engines, "scalar": scalar, "vectormath": vectormath}.items():
    sys.modules[f"{__name__}.{_name}"] = _module

__all__ = [
    "INCLUDE",
    "NONE",
    "NO_UPDATE",
    "CNetwork",
    "Data",
    "Loss",
    "MixedNetwork",
    "MixedWorkspace",
    "Network",
    "Optimizer",
    "Progress",
    "Rows",
    "RowsWorkspace",
    "State",
    "TaylorWorkspace",
    "activation_code",
    "data",
    "evaluate",
    "evaluate_serial",
    "flush_subnormals",
    "forward_one",
    "forward_rows",
    "gradient_norm",
    "gradient_rows",
    "jacobian_one",
    "jvp_rows",
    "loss",
    "loss_gradient_rows",
    "mixed_network",
    "most_nonzeros",
    "network",
    "network_for",
    "optimizer",
    "optimizer_state",
    "pack",
    "packed_gradient",
    "parameter_count",
    "predict",
    "predict_serial",
    "prediction_scratch",
    "progress",
    "register_activation",
    "register_loss",
    "restore_mode",
    "set_dropout",
    "taylor_gradient_rows",
    "taylor_rows",
    "taylor_workspace",
    "taylor_workspaces",
    "train",
    "train_serial",
    "training_workspace",
    "unpack",
    "update_network",
    "vjp_rows",
    "workspace",
    "workspace_of",
    "workspaces",
    *_KINDS,
]
