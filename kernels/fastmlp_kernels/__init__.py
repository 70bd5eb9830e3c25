"""Multilayer perceptrons for use inside other compiled code.

The public functions are of three kinds:

- Preparation, from Python only: `register_activation`, `register_loss`, `activation_code`, `loss`, `network_for`,
  `most_nonzeros`, `training_workspace`, `prediction_scratch`, and the class `CNetwork`.
- Making arrays, from Python or from any `@njit` function: `network`, `data`, `optimizer_state`, `packed_gradient`,
  `progress`, `workspace`, `workspaces`, `taylor_workspace` and `taylor_workspaces`.
- Working on these arrays, from Python or from any `@njit` function: all others. They are serial, neither allocate nor
  raise, and are reentrant: in a `prange` loop each thread needs a workspace of its own. Only `train`, `evaluate` and
  `predict` run on Numba's threads, so their callers must be serial; each has a serial twin, such as `train_serial`.
  `train` raises a RuntimeError if its workspace was not made by `training_workspace`.

The modules `vectormath` (elementary functions that become vector code) and `tile` (small matrices in registers, which
all matrix products are built from) can be used in kernels of your own.

Each folder is described in its opening docstring. A folder imports only from folders to its left:

    tile, functions <- layout <- panelwise <- products <- drivers <- embed
"""

import sys

from . import jit
from .custom import register_activation, register_loss
from .drivers.evaluation import evaluate, evaluate_serial
from .drivers.plan import most_nonzeros
from .drivers.prediction import predict, predict_serial
from .drivers.step import Progress
from .drivers.training import train, train_serial
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
# Constants for the kinds of optimizers: SGD, ADAM, ...
_CODES = {name.upper(): kind for name, kind in KINDS.items()}
globals().update(_CODES)
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
