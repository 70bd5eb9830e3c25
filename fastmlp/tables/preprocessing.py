"""Conversion of tables to network inputs and targets, and of network outputs to classes or quantities."""

from dataclasses import asdict, dataclass, field, fields, replace

import numpy as np

from fastmlp.checks import nearest
from fastmlp.moments import Moments
from fastmlp.signatures import keyword_only_soon
from fastmlp.tables.columns import (
    MAX_CATEGORIES,
    TableError,
    index,
    is_missing,
    is_number,
    known,
    listed,
    numbers,
    option,
)
from fastmlp.tables.dialects import Dialect

NO_CATEGORY = "NA"  # of a column without a text in the training rows; no reader gives this text


@dataclass(frozen=True)
class Preprocessing:
    """Conversion learned from the training rows, which is saved with the model.

    A numeric column becomes one input, standardized to mean 0 and standard deviation 1 over the training rows; a
    missing number is taken for the mean. A categorical column becomes one input per category, 1 for the row's category
    and 0 for the others; a missing text, or one that did not occur in training, gives zeros only. Behind all these
    follows one input for each column that had missing values in training: 1 where the value is missing, else 0. Classes
    are numbered in their order; a regression target is standardized, or only scaled (see `fit`).

    Attributes
    ----------
    columns : dict[str, dict]
        Feature name to {"mean": float, "scale": float} or {"categories": list[str]}, in the order of the inputs; with
        {"missing": True} if values were missing in training.
    target_name, task : str
        Name of the target column; "classification" or "regression".
    classes : tuple[str]
        Class names in the order of the outputs: ``softmax_outputs[:, k]`` is the probability of ``classes[k]``. Empty
        for regression.
    target_mean, target_scale : float
        For regression, prediction = mean + scale * output, so that its RMS error = scale * RMS error of the output.
    ids : tuple[str]
        Names of the columns that identify rows.
    dialect : Dialect
        What was said about the training file.
    """

    columns: dict
    target_name: str
    task: str
    classes: tuple = ()
    target_mean: float = 0.0
    target_scale: float = 1.0
    ids: tuple = ()
    dialect: Dialect = field(default_factory=Dialect)

    @classmethod
    def fit(cls, table, centre_target=True):
        """Learn the conversion from the training rows.

        Parameters
        ----------
        table : fastmlp.tables.datasets.Table
            Training rows, with a target.
        centre_target : bool
            Whether a regression target is standardized. If not, it is only divided by the absolute value of its
            mean, which suits counts.

        Raises
        ------
        TableError
            If the target has a single class or value, or a text column more than `MAX_CATEGORIES` distinct texts.
        """
        columns = {name: _learn(table.source, name, values) for name, values in table.features.items()}
        learned = cls(columns, table.target_name, table.task, ids=tuple(table.ids or ()), dialect=table.dialect)
        distinct = np.unique(table.target)
        if len(distinct) < 2:
            found = f"target {table.target_name!r} has the single value {distinct[0]}"
            raise TableError(f"{table.source}: {found}; accepted: another --target, or more rows")
        if table.task == "classification":
            return replace(learned, classes=tuple(_in_order(distinct)))
        mean, scale = _mean_and_scale(table.target)
        if not centre_target:
            mean, scale = 0.0, abs(mean) or 1.0
        return replace(learned, target_mean=mean, target_scale=scale)

    @property
    def texts(self):
        """Names of the columns that are text, for `datasets.load`: those of categories, and of classes: a set."""
        categorical = {name for name, column in self.columns.items() if "categories" in column}
        return categorical | ({self.target_name} if self.classes else set())

    @property
    def numbers(self):
        """Names of the columns that are numbers, for `datasets.load`: a set."""
        return {*self.columns, self.target_name} - self.texts

    @property
    def with_missing(self):
        """Names of the features that had missing values in training: a list, in the order of their inputs."""
        return [name for name, column in self.columns.items() if "missing" in column]

    @property
    def n_inputs(self):
        """Number of network inputs."""
        return sum(len(column.get("categories", [0])) for column in self.columns.values()) + len(self.with_missing)

    @property
    def n_outputs(self):
        """Number of targets of a row: one per class, or one for regression.

        The network has as many outputs, or twice as many for "gaussian_nll", which has two outputs for each target.
        """
        return len(self.classes) or 1

    def transform(self, table, dtype="float32"):
        """Return the network inputs (N, n_inputs) of a table's rows.

        Columns are found by name, in any order, and others are ignored. If names are missing, and the table is an array
        with as many columns as there are features, these are used in their order.

        Raises
        ------
        TableError
            If a feature is not there, holds text where training had numbers, or numbers beyond the dtype.
        """
        inputs = np.zeros((table.n_rows, self.n_inputs), dtype)
        at, indicator = 0, self.n_inputs - len(self.with_missing)
        for learned, found in zip(self.columns.values(), self.find(table), strict=True):
            values = known(table.source, found, table.features[found], learned=True)
            missing = is_missing(values)
            if "categories" in learned:
                category = np.where(missing, -1, index(values, learned["categories"]))
                rows = np.flatnonzero(category >= 0)
                inputs[rows, at + category[rows]] = 1
                at += len(learned["categories"])
            else:
                values = numbers(table.source, found, values, learned=True).astype(np.float64)
                values = np.where(missing, learned["mean"], values)
                inputs[:, at] = _scaled(table, found, values, learned["mean"], learned["scale"], dtype)
                at += 1
            if "missing" in learned:
                inputs[:, indicator] = missing
                indicator += 1
        return inputs

    def encode_target(self, table, dtype="float32"):
        """Return the targets of the network: (N,) int64 labels, or scaled numbers (N, 1) of `dtype`.

        Raises
        ------
        TableError
            If the table has a class that did not occur in training, or numbers beyond the dtype.
        """
        if self.task == "regression":
            scaling = self.target_mean, self.target_scale
            return _scaled(table, self.target_name, table.target, *scaling, dtype)[:, None]
        labels = index(table.target, self.classes)
        if labels.min() < 0:
            unknown = table.target[labels.argmin()]
            raise TableError(
                f"{table.source}: class {unknown!r} was not seen in training; known are {listed(self.classes)}"
            )
        return labels

    def decode_prediction(self, outputs):
        """Return predictions for a network's outputs.

        Parameters
        ----------
        outputs : (N, n_outputs) or, for "gaussian_nll", (N, 2 * n_outputs) array
            Of a regression, the first column is the prediction; a second, the logarithm of the variance, is left out.

        Returns
        -------
        (N,) array
            Class names (object array), or float64 quantities.
        """
        if self.task == "regression":
            return self.target_mean + self.target_scale * np.asarray(outputs, np.float64)[:, 0]
        return np.array(self.classes, dtype=object)[np.argmax(outputs, axis=1)]

    def find(self, table):
        """Return the table's column name for each feature, in the order of the inputs, or raise a TableError."""
        missing = [name for name in self.columns if name not in table.features]
        positions = [name for name in table.features if name.isdigit()]
        if not missing:
            return list(self.columns)
        if not table.named and len(positions) == len(self.columns):
            return positions
        near = nearest(missing[0], table.features)
        raise TableError(f"{table.source}: no column {missing[0]!r}{near}; the model needs {listed(self.columns)}")

    def to_dict(self):
        """Return all attributes as a dict of values that JSON can represent."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Return the `Preprocessing` that `to_dict` was called on; a ValueError if `values` are none.

        Files of earlier versions have no ids and no dialect.
        """
        names = {field.name for field in fields(cls)}
        if not (isinstance(values, dict) and names - {"ids", "dialect"} <= values.keys() <= names):
            raise ValueError("preprocessing has other fields than `fastmlp train` writes")
        made = cls(**values | {"dialect": Dialect(**values.get("dialect", {}))})
        _require(isinstance(made.columns, dict) and made.columns, "columns")
        for name, column in made.columns.items():
            _require(isinstance(column, dict) and column.get("missing", True) is True, "columns")
            learned = {key: value for key, value in column.items() if key != "missing"}
            if learned.keys() == {"categories"}:
                _require(_are_names(learned["categories"]), f"categories of {name!r}")
            else:
                _require(learned.keys() == {"mean", "scale"} and _is_scaling(**learned), f"mean and scale of {name!r}")
        _require(isinstance(made.target_name, str), "target_name")
        _require(made.task in ("classification", "regression"), "task")
        _require(_are_names(made.classes) if made.task == "classification" else made.classes in ([], ()), "classes")
        _require(_is_scaling(made.target_mean, made.target_scale), "target_mean and target_scale")
        _require(_are_names(made.ids) or made.ids in ([], ()), "ids")
        return replace(made, classes=tuple(made.classes), ids=tuple(made.ids))

    @classmethod
    def of(cls, net):
        """Return the preprocessing in the metadata of a network; a ValueError if it is damaged."""
        try:
            learned = cls.from_dict(net.metadata["preprocessing"])
        except (TypeError, OverflowError) as error:
            raise ValueError(f"preprocessing cannot be read: {error}") from None
        if learned.n_inputs != net.sizes[0] or net.sizes[-1] % learned.n_outputs:
            raise ValueError(f"preprocessing makes {learned.n_inputs} inputs, for {net!r}")
        return learned


@keyword_only_soon  # takes `labels` by position too, with a FutureWarning
def split(n, test_fraction, seed=0, *, labels=None):
    """Split rows 0..n-1 at random into a training and a test part, the same for the same seed.

    Parameters
    ----------
    n : int
        Number of rows.
    test_fraction : float
        Share of the rows in the test part, 0 <= test_fraction < 1; rounded to whole rows.
    seed : int
        Seed for the random choice.
    labels : (n,) array, optional
        Class of each row. Each class has this share in the test part, to within one row, and at least one row in the
        training part.

    Returns
    -------
    train, test : numpy.ndarray of int64
        Row numbers in increasing order.

    Raises
    ------
    ValueError
        If the fraction is out of range, or is not 0 but leaves no row for the test.
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction must be at least 0 and below 1; got {test_fraction}")
    group = np.zeros(n, np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(group)
    # Rounding the running total, not each class, keeps the whole test part at its size and each class within one row.
    ends = np.rint(np.cumsum(counts) * test_fraction).astype(np.int64)
    test_counts = np.minimum(np.diff(ends, prepend=0), counts - 1)
    if test_fraction > 0 and test_counts.sum() == 0:
        raise ValueError(f"test_fraction {test_fraction} of {n} rows leaves no row for the test")
    shuffled = np.random.default_rng(seed).permutation(n)
    by_group = shuffled[np.argsort(group[shuffled], kind="stable")]
    rank = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    is_test = rank < np.repeat(test_counts, counts)
    return np.sort(by_group[~is_test]), np.sort(by_group[is_test])


def folds(n, count, seed=0, *, labels=None):
    """Divide rows 0..n-1 at random into `count` parts of equal size, and hold each out in turn, the same for a seed.

    Parameters
    ----------
    n : int
        Number of rows.
    count : int
        Number of parts, from 2 to `n`.
    seed : int
        Seed for the random choice.
    labels : (n,) array, optional
        Class of each row. Each class is divided equally, to within one row; the only row of a class is never held out.

    Returns
    -------
    list of pairs (train, test) of numpy.ndarray of int64
        Row numbers in increasing order.

    Raises
    ------
    ValueError
        If there are fewer rows than parts.
    """
    if count > n:
        raise ValueError(f"cross-validation has {count} parts of {n} rows; accepted: up to {n}")
    order = np.random.default_rng(seed).permutation(n)
    if labels is not None:
        group = np.unique(labels, return_inverse=True)[1][order]
        by_group = np.argsort(group, kind="stable")
        order = order[by_group[np.bincount(group)[group[by_group]] > 1]]
    held = [np.sort(order[part::count]) for part in range(count)]
    return [(np.setdiff1d(np.arange(n), rows), rows) for rows in held]


def _require(condition, what):
    if not condition:
        raise ValueError(f"preprocessing has unusable {what}")


def _are_names(names):
    """Whether `names` is a sequence of different texts, not empty."""
    return isinstance(names, list | tuple) and 0 < len(names) == len({name for name in names if isinstance(name, str)})


def _is_scaling(mean, scale):
    """Whether both are finite numbers, and the scale is not 0."""
    finite = all(type(number) in (int, float) and np.isfinite(float(number)) for number in (mean, scale))
    return finite and scale != 0


def _learn(source, name, values):
    """Return what a feature needs: {"mean", "scale"} for numbers, {"categories"} for text, and perhaps "missing"."""
    missing = is_missing(values)
    there, indicated = values[~missing], {"missing": True} if missing.any() else {}
    if values.dtype.kind != "O":
        mean, scale = _mean_and_scale(there) if len(there) else (0.0, 1.0)
        return {"mean": mean, "scale": scale} | indicated
    categories = _in_order(set(there))
    if len(categories) > MAX_CATEGORIES:
        raise TableError(
            f"{source}: column {name!r} has {len(categories)} different texts, accepted are {MAX_CATEGORIES}; of names "
            f"or identifiers: {option('--drop', name)} or {option('--id', name)}"
        )
    return {"categories": categories or [NO_CATEGORY]} | indicated


def _mean_and_scale(values):
    """Return mean and standard deviation, the latter 1 for a constant."""
    moments = Moments(1)
    moments.add(values[:, None])
    mean, scale = moments.learned()
    return float(mean[0]), float(scale[0])


def _scaled(table, name, values, mean, scale, dtype):
    """Return the numbers of the column `name` of a table, less the mean and divided by the scale, as `dtype`."""
    with np.errstate(over="ignore"):
        scaled = ((values - mean) / scale).astype(dtype)
    if not np.isfinite(scaled).all():
        row = np.isfinite(scaled).argmin()
        limit = f"numbers that are finite in {np.dtype(dtype)} after division by {scale:g}"
        found = f"{table.source}: column {name!r} has {values[row]:g} in data row {table.data_row(row)}"
        raise TableError(f"{found}; accepted: {limit}")
    return scaled


def _in_order(names):
    """Return names sorted as numbers if all of them are numbers, else as text.

    Names of the same number, such as "1" and "1.0", are in the order of their text, whatever the order of a set.
    """
    return sorted(sorted(names), key=float if all(map(is_number, names)) else None)
