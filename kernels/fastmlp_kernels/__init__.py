"""Multilayer perceptrons inside compiled code.

The functions named here are for use in any `@njit` function. Those that make arrays do so in Python, too. The others
are serial, do not allocate or raise, and are reentrant: in a `prange` loop each thread needs a workspace of its own.
`train`, `evaluate` and `predict` run on Numba's threads and are for callers that are serial; each has a serial twin.
`register_activation` and `register_loss` are called from Python.

The modules `vectormath` (elementary functions that vectorise) and `tile` (a matrix of registers, which all products are
made of) are for kernels of one's own.

Each folder says in its opening docstring what lives there. Arrows point one way, from right to left:

    tile, functions <- layout <- panelwise <- products <- drivers <- embed
"""

import sys

from . import jit
from .custom import register_activation, register_loss
from .drivers.plan import most_nonzeros
from .drivers.prediction import predict, predict_serial
from .drivers.training import Progress, evaluate, evaluate_serial, train, train_serial
from .drivers.training import workspace as training_workspace
from .drivers.workspace import prediction_scratch
from .embed.batch import RowsWorkspace, forward_rows
from .embed.c_interface import INCLUDE, CNetwork
from .embed.forward_mode import jvp_rows
from .embed.make import (
    data,
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
from .layout.network import Network, pack, parameter_count, set_dropout, unpack
from .layout.samples import Data, SparseRows
from .panelwise.losses import Loss, loss
from .products.first_layer import network_for
from .tile import engines

Rows = SparseRows
# The kinds of optimizers: SGD, ADAM, ...
_CODES = {name.upper(): kind for name, kind in KINDS.items()}
globals().update(_CODES)
# Modules by the names that users import them by.
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
    "forward_one",
    "forward_rows",
    "gradient_norm",
    "gradient_rows",
    "jacobian_one",
    "jvp_rows",
    "loss",
    "loss_gradient_rows",
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
    *_CODES,
]
