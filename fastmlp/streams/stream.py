"""Streams of samples, as users state them."""

from __future__ import annotations

from collections.abc import Sequence

from .. import checks
from .arrow import ArrowStream, Dataset, is_dataset, is_named
from .sources import Factory, Slices


class Stream:
    """Samples that are read block by block in each epoch, in the place of arrays in `Trainer.fit`.

    A thread reads blocks, converts them to the network's dtype and scales them while the network is trained on those
    read before. Rows are shuffled on two levels: the order of the blocks, if they can be read in any order, and all
    rows of a pool of `pool_rows` rows, which are in memory. Both follow from the seed of the trainer. Batches go on
    across pools: without shuffling, results have the same bits as those of arrays.

    Parameters
    ----------
    X : object
        One of:

        - an object with `shape` (N, n_in) that can be sliced by rows: a data set of HDF5, an array of Zarr or dask, a
          memory-mapped array. Its blocks can be read in any order, and `y` and `sample_weight` are such objects, or
          arrays, with as many rows;
        - a `pyarrow.dataset.Dataset`, such as a folder of Parquet files, whose row groups are blocks that can be read
          in any order;
        - an object with `__arrow_c_stream__`, such as a `pyarrow.Table` or a data frame of Polars, which is read from
          the beginning in each epoch;
        - a function without arguments that returns a new iterator of blocks (X, y) or (X, y, sample_weight), arrays of
          any number of rows. It is called once for each epoch; once more for each evaluation of a share of the
          blocks; and once before, if the network is to learn its scaling.
    y : object, str or list of str, optional
        Targets, as for `Trainer.fit`, that can be sliced by rows; or the names of the columns of the targets.
    sample_weight : object or str, optional
        Weights of the samples, likewise. They are used as they are, so their size should be about 1.
    columns : sequence of str, optional
        Names of the columns that are inputs, in their order. By default all that are neither targets nor weights.
    rows : int, optional
        Number of all rows, if the source does not know it: for the progress, and for the default numbers of epochs and
        of rows in a batch.
    block_rows : int, optional
        Rows of the blocks in which a sliceable `X` is read. By default whole chunks, up to 4 MB, and 64 blocks or more
        if chunks are small enough.
    pool_rows : int, optional
        Rows that are shuffled together. There are two pools in memory. By default those of 256 MB.

    Raises
    ------
    TypeError, ValueError
        If an argument is not accepted, or a column is not there or does not have numbers.
    ImportError
        If pyarrow is needed, and missing.
    """

    def __init__(
        self,
        X: object,
        y: object = None,
        sample_weight: object = None,
        *,
        columns: Sequence[str] | None = None,
        rows: int | None = None,
        block_rows: int | None = None,
        pool_rows: int | None = None,
    ) -> None:
        given = {"rows": rows, "block_rows": block_rows, "pool_rows": pool_rows}
        rows, block_rows, self.pool_rows = (v if v is None else checks.count(name, v) for name, v in given.items())
        is_columnar = is_dataset(X) or (hasattr(X, "__arrow_c_stream__") and (y is None or is_named(y)))
        is_sliceable = not is_columnar and not callable(X)
        refused = {"columns": columns is not None and not is_columnar, "rows": rows is not None and is_sliceable}
        refused["block_rows"] = block_rows is not None and not is_sliceable
        refused |= {"y": callable(X) and y is not None, "sample_weight": callable(X) and sample_weight is not None}
        if wrong := [name for name, is_wrong in refused.items() if is_wrong]:
            raise TypeError(f"{wrong[0]} is given with X of {type(X).__name__}; accepted: without it")
        if is_columnar:
            kind = Dataset if is_dataset(X) else ArrowStream
            self.source = kind(X, y, sample_weight, columns, rows)
        elif is_sliceable:
            self.source = Slices(X, y, sample_weight, block_rows)
        else:
            self.source = Factory(X, rows)
        if self.rows == 0:
            raise ValueError("X has no rows; accepted: at least one")

    @property
    def rows(self) -> int | None:
        """Number of all rows; None if it is not known."""
        return self.source.rows

    def __repr__(self):
        rows = "an unknown number of" if self.rows is None else self.rows
        blocks = "" if self.source.blocks is None else f" in {len(self.source.blocks)} blocks"
        return f"<Stream of {rows} rows{blocks}>"


def is_stream(X: object) -> bool:
    """Whether X, by itself, can be nothing but a stream."""
    return isinstance(X, Stream) or callable(X) or is_dataset(X)


def stream_of(X: object, y: object = None, sample_weight: object = None) -> Stream | None:
    """Stream of the arguments of `Trainer.fit`; None if they are arrays.

    Arrays in chunks (of HDF5, Zarr, dask), data sets of pyarrow, Arrow streams whose targets are named, and functions
    become streams.
    """
    if isinstance(X, Stream):
        if y is not None or sample_weight is not None:
            raise TypeError("y or sample_weight is given besides a Stream; accepted: Stream(X, y, sample_weight) alone")
        return X
    is_chunked = all(hasattr(X, name) for name in ("shape", "chunks", "__getitem__"))
    is_columnar = hasattr(X, "__arrow_c_stream__") and is_named(y)
    return Stream(X, y, sample_weight) if is_stream(X) or is_chunked or is_columnar else None
