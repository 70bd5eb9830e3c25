"""Multilayer perceptrons inside compiled code.

The functions named here are for use in any `@njit` function. Those that make arrays do so in Python, too. The others
are serial, do not allocate or raise, and are reentrant: in a `prange` loop each thread needs a workspace of its own.
`train`, `evaluate` and `predict` run on Numba's threads and are for callers that are serial; each has a serial twin.
`register_activation` and `register_loss` are called from Python.

The modules `vectormath` (elementary functions that vectorise) and `tile` (a matrix of registers, which all products are
made of) are for kernels of one's own.
"""

from .c_interface import INCLUDE, CNetwork
from .codes import activation_code
from .construction import (
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
from .custom import register_activation, register_loss
from .descent import gradient_norm, optimizer, update_network
from .inputs import Data, network_for
from .losses import Loss, loss
from .packed import Network, pack, parameter_count, set_dropout, unpack
from .plan import most_nonzeros
from .plan import scratch as prediction_scratch
from .plan import workspace as training_workspace
from .prediction import predict, predict_serial
from .pullback import gradient_rows, jacobian_one, loss_gradient_rows, vjp_rows
from .rows import RowsWorkspace, forward_rows
from .single import forward_one
from .sparse import Rows
from .tangents import jvp_rows
from .taylor import TaylorWorkspace, taylor_rows
from .taylor_gradient import taylor_gradient_rows
from .training import Progress, evaluate, evaluate_serial, train, train_serial
from .updates import ADAM, ADAMW, MOMENTUM, NESTEROV, NO_UPDATE, NONE, SGD, Optimizer, State

__all__ = [
    "ADAM",
    "ADAMW",
    "INCLUDE",
    "MOMENTUM",
    "NESTEROV",
    "NONE",
    "NO_UPDATE",
    "SGD",
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
]
