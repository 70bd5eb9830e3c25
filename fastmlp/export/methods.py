"""Methods of `MLP` that write a network for other programs, and read theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Self

from .c_source import write_c
from .fortran_source import write_fortran

if TYPE_CHECKING:
    import onnx
    import torch


class OtherPrograms:
    """Base of `MLP` with these methods."""

    def to_c(self, path: str | PathLike) -> None:
        """Write the network to a C header, which predicts one sample (see `fastmlp.export.c_source.write_c`)."""
        write_c(self, path)

    def to_fortran(self, path: str | PathLike) -> None:
        """Write the network to a Fortran module and a C file (see `fastmlp.export.fortran_source.write_fortran`)."""
        write_fortran(self, path)

    def to_onnx(self, path: str | PathLike, *, preprocessing: bool = True) -> None:
        """Write the network to an ONNX file with operators of opset 17.

        ONNX Runtime computes float32 networks from version 1.16 on, and float64 networks from version 1.18 on (before,
        with the optimizations ORT_ENABLE_BASIC).

        Its input `X` (N, n_in) and its output `Y` (N, n_out) are tensors of the network's dtype, for any N; if it has a
        `scaling`, in the units of `predict`, and of float64 by the rule below for any of their columns. A network that
        `fastmlp train` made has other inputs and outputs: one (N, 1) input for each column of the table, under its
        name, and what `fastmlp predict` gives:

        ====================  ====================================================================================
        number                Tensor of the network's dtype; of float64 if the mean is so far from 0 that a float32 is
                              off by more than 6e-5 standard deviations. NaN stands for a missing number.
        text                  Tensor of strings. One that did not occur in training gives zeros for all categories; an
                              empty one stands for a missing text, unless that is a category itself.
        `label` (N,)          Strings, or int64 if all classes are spelled as whole numbers.
        `probabilities`       Outputs of the network (N, classes), in the order of the classes.
        `prediction` (N, 1)   Of a regression, in the units of the target: float64 by the same rule.
        ====================  ====================================================================================

        An output gets a number where a column has its name: "label_2".

        Parameters
        ----------
        path : str or path
        preprocessing : bool
            Whether the graph begins with the columns of the table, and ends with the prediction, if
            ``metadata["preprocessing"]`` says how.

        Raises
        ------
        ImportError
            If the package onnx is missing.
        ValueError
            If an activation is a custom one, which has no operators in ONNX; the preprocessing is damaged; or the file
            would be larger than ONNX allows.
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        from . import onnx

        onnx.save(self, path, preprocessing)

    @classmethod
    def from_onnx(cls, source: str | PathLike | onnx.ModelProto) -> Self:
        """Network with the layers of an ONNX file. Their parameters are the same to the bit.

        Parameters
        ----------
        source : str, path or onnx.ModelProto
            A chain of Gemm, or MatMul and Add, each followed by an activation of this library, as `to_onnx`, PyTorch
            and others write them. Identity, Dropout, Flatten, and Cast that loses no digit of the network's dtype are
            left out. Layers without biases get zeros if others have some.

        Raises
        ------
        ImportError
            If the package onnx is missing.
        FileNotFoundError
            If there is no such file.
        ModelFileError
            A ValueError: if the file is damaged, or has another operator, which is named.
        """
        from . import onnx_reader

        return onnx_reader.load(source, cls)

    def to_torch(self) -> torch.nn.Sequential:
        """Network as a `torch.nn.Sequential` of Linear and activation modules, with copies of the parameters.

        If it has a `scaling`, they are those of the `folded` network.

        Returns
        -------
        torch.nn.Sequential
            Takes and gives tensors (N, n_in) and (N, n_out) of the network's dtype. Linear layers have the names "0",
            "2", "4", ..., as there is an activation after each, an Identity too; but none after the last.

        Raises
        ------
        ImportError
            If PyTorch is missing.
        ValueError
            If an activation is no module of PyTorch: exp, threshold, or a custom one; or as for `folded`.
        """
        from . import torch

        return torch.module(self)

    def save_torch(self, path: str | PathLike) -> None:
        """Write the parameters to a safetensors file, as the ``state_dict()`` of `to_torch` has them.

        The tensors are ``0.weight`` (n_out, n_in), ``0.bias`` (n_out,), ``2.weight``, ...; activations are not in the
        file. Needs no PyTorch.

        Raises
        ------
        ValueError
            As for `folded`.
        OSError
            If the file cannot be written; one that was there stays as it was.
        """
        from . import torch

        torch.save(self, path)

    @classmethod
    def from_torch(
        cls,
        source: torch.nn.Sequential | Mapping | str | PathLike,
        *,
        activation: str | Sequence[str] | None = None,
        output_activation: str | None = None,
    ) -> Self:
        """Network with the layers of a module, or with parameters, of PyTorch. They are the same to the bit.

        Parameters
        ----------
        source : torch.nn.Sequential, dict of tensors or arrays, or path
            A Sequential of Linear, each followed by an activation of this library or none. Dropout, Flatten and
            Identity are left out. Or its ``state_dict()``, with or without a prefix of all names; or the path of a
            safetensors file with such names. These two need no PyTorch. Layers without biases get zeros if others have
            some.
        activation : str or sequence of str, optional
            As for `MLP`; needed for parameters, which do not say it.
        output_activation : str, optional
            Needed for parameters. For a Sequential that ends in a Linear, "identity" by default: "softmax" for one that
            was trained with PyTorch's CrossEntropyLoss.

        Raises
        ------
        TypeError, ValueError
            If an argument is not accepted; or the source has another module or parameter, which is named.
        FileNotFoundError
            If there is no such file.
        ModelFileError
            A ValueError: if the file is damaged, or has other tensors.
        """
        from . import torch

        return torch.load(source, cls, activation, output_activation)
