"""Networks in files and objects of other programs: ONNX (`onnx`, `onnx_reader`), PyTorch (`torch`), C and Fortran.

`methods` are those of `MLP`. `formulas` has the activations as operators of ONNX, for both writing and reading.
"""

from importlib import import_module


def package(name, use, install):
    """Return a package, or raise an ImportError that says what it is used for, and how to install it."""
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f"{use} need the package {name}: pip install {install}") from None
