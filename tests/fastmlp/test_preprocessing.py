"""Tables to network inputs and back, and the split into training and test part."""

import json

import numpy as np
import pytest

from fastmlp.tables import columns, preprocessing
from fastmlp.tables.datasets import Dialect, Table
from fastmlp.tables.preprocessing import MAX_CATEGORIES, Preprocessing, split


def text(*values):
    return np.array(values, dtype=object)


def houses(target=None, task="regression", **features):
    """Return a table of four houses, with some columns replaced."""
    columns = {"area": np.array([50, 70, 90, 110]), "town": text("b", "a", "b", "c"), "one": np.full(4, 0.1)} | features
    return Table("houses.csv", columns, np.array([1.0, 2, 3, 6]) if target is None else target, "price", task)


def test_numbers_are_standardised_and_categories_one_hot():
    inputs = Preprocessing.fit(houses()).transform(houses(), "float64")
    np.testing.assert_allclose(inputs[:, 0], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-15)
    np.testing.assert_array_equal(inputs[:, 1:4], [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(inputs[:, 4], 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_have_the_dtype_and_width_asked_for(dtype):
    learnt = Preprocessing.fit(houses())
    inputs = learnt.transform(houses(), dtype)
    assert inputs.dtype == dtype
    assert inputs.shape == (4, learnt.n_inputs) == (4, 5)
    assert learnt.encode_target(houses(), dtype).dtype == dtype


def test_small_dtypes_are_standardised_in_full_precision():
    area = np.array([60000, 60032, 60064, 60096], "float16")
    inputs = Preprocessing.fit(houses(area=area)).transform(houses(area=area), "float64")
    np.testing.assert_allclose(inputs[:, 0], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-12)


def test_the_statistics_are_those_of_the_training_rows():
    learnt = Preprocessing.fit(houses().rows(np.array([0, 1])))
    assert learnt.columns["area"] == {"mean": 60.0, "scale": 10.0}
    np.testing.assert_array_equal(learnt.transform(houses())[:, 0], [-1, 1, 3, 5])


def test_a_constant_column_stays_near_zero_in_spite_of_rounding():
    table = Table("t.csv", {"one": np.full(100, 0.7)}, np.arange(100.0), "y", "regression")
    learnt = Preprocessing.fit(table)
    assert learnt.columns["one"]["scale"] == 1.0
    np.testing.assert_allclose(learnt.transform(table), 0, atol=1e-14)


def test_a_category_not_seen_in_training_gives_zeros():
    inputs = Preprocessing.fit(houses()).transform(houses(town=text("a", "z", "b", "zz")))
    np.testing.assert_array_equal(inputs[:, 1:4], [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_categories_are_recognised_when_they_arrive_as_numbers():
    learnt = Preprocessing.fit(houses(town=text("1", "2", "x", "10")))
    inputs = learnt.transform(houses(town=np.array([10.0, 2.0, 1.0, 3.0])))
    assert learnt.columns["town"]["categories"] == ["1", "10", "2", "x"]
    np.testing.assert_array_equal(inputs[:, 1:5], [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("categories", "values", "found"),
    [
        (("01", "02"), np.array([1, 2.0, 3]), [0, 1, -1]),
        (("0x1", "1", "x"), np.array([1, 2, 0]), [1, -1, -1]),
        (("1.0", "01", "2.0"), np.array([1, 2, 2]), [-1, 2, 2]),
        (("false", "true"), np.array([True, False]), [1, 0]),
        (("false", "true"), np.array([1.0, 0.0]), [1, 0]),
        (("false", "true"), text("False", "true"), [-1, 1]),
        (("1", "2"), text("01", "2", "2.0"), [-1, 1, -1]),
    ],
)
def test_text_is_a_category_as_it_is_spelled_and_a_number_of_an_array_by_its_value(categories, values, found):
    np.testing.assert_array_equal(columns.index(values, categories), found)


def test_columns_are_found_by_name_in_any_order_and_others_are_ignored():
    learnt = Preprocessing.fit(houses())
    reordered = Table("new.csv", {"note": text(None, "", "", ""), **dict(reversed(houses().features.items()))})
    np.testing.assert_array_equal(learnt.transform(reordered), learnt.transform(houses()))


def test_columns_of_an_array_are_taken_by_position_where_names_are_missing():
    arrays = {"area": np.array([1.0, 2, 3, 5]), "town": np.array([4.0, 5, 6, 9])}
    learnt = Preprocessing.fit(Table("t.csv", arrays, np.arange(4.0), "y", "regression"))
    by_position = Table("t.npy", {"0": arrays["area"], "1": arrays["town"]}, named=False)
    np.testing.assert_array_equal(learnt.transform(by_position), learnt.transform(Table("t.csv", arrays)))
    with pytest.raises(ValueError, match=r"t\.npy: no column 'area'; the model needs area, town"):
        learnt.transform(Table("t.npy", {"0": arrays["area"]}, named=False))
    texts = Table("t.npz", {"0": text("1", "2", "big", "4"), "1": arrays["town"]}, named=False)
    with pytest.raises(
        ValueError, match=r"^t\.npz: column '0' must hold numbers; got 'big' in data row 3; accepted: --na big$"
    ):
        learnt.transform(texts)


@pytest.mark.parametrize("names", [("0", "1"), ("2019", "2020"), ("area", "2020"), ("area", "Town")])
def test_columns_of_a_table_with_names_are_never_taken_by_position(names):
    arrays = {"area": np.array([1.0, 2, 3, 5]), "town": np.array([4.0, 5, 6, 9])}
    learnt = Preprocessing.fit(Table("t.csv", arrays, np.arange(4.0), "y", "regression"))
    with pytest.raises(ValueError, match=r"^t\.csv: no column .*; the model needs area, town$"):
        learnt.transform(Table("t.csv", dict(zip(names, arrays.values(), strict=True))))


def test_a_missing_feature_is_named_with_the_nearest_column():
    features = houses().features
    table = Table("new.csv", {"areas" if name == "area" else name: values for name, values in features.items()})
    with pytest.raises(
        ValueError, match=r"new\.csv: no column 'area' \(did you mean 'areas'\?\); the model needs area, town"
    ):
        Preprocessing.fit(houses()).transform(table)


@pytest.mark.parametrize(
    ("area", "message"),
    [
        (text("1", "2", "big", "4"), "column 'area' must hold numbers; got 'big' in data row 3"),
        (text("1", "2,5", "3", "4"), "column 'area' must hold numbers; got '2,5' in data row 2"),
        (text("1", "2", "1_000", "4"), "column 'area' must hold numbers; got '1_000' in data row 3"),
        (np.array([1, np.inf, 3, 4]), "column 'area' has the infinite value inf in data row 2"),
    ],
)
def test_a_feature_that_is_not_as_in_training_is_refused(area, message):
    with pytest.raises(ValueError, match=f"^houses.csv: {message}; accepted: "):
        Preprocessing.fit(houses()).transform(houses(area=area))


def test_classes_become_labels_and_outputs_become_classes():
    table = houses(text("10", "9", "10", "2"), "classification")
    learnt = Preprocessing.fit(table)
    assert learnt.classes == ("2", "9", "10")
    assert learnt.n_outputs == 3
    labels = learnt.encode_target(table)
    np.testing.assert_array_equal(labels, [2, 1, 2, 0])
    assert labels.dtype == np.int64
    assert learnt.decode_prediction(np.eye(3)[labels]).tolist() == table.target.tolist()


def test_an_unknown_class_is_refused():
    learnt = Preprocessing.fit(houses(text("a", "b", "a", "b"), "classification"))
    with pytest.raises(ValueError, match="class 'c' was not seen in training; known are a, b"):
        learnt.encode_target(houses(text("a", "b", "c", "b"), "classification"))


def test_a_regression_target_is_standardised_and_comes_back():
    learnt = Preprocessing.fit(houses())
    y = learnt.encode_target(houses(), "float64")
    assert y.shape == (4, learnt.n_outputs) == (4, 1)
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-15)
    np.testing.assert_allclose(learnt.decode_prediction(y), [1, 2, 3, 6], rtol=1e-15)
    assert learnt.target_scale == np.std([1, 2, 3, 6])
    counts = Preprocessing.fit(houses(), centre_target=False)
    np.testing.assert_allclose(counts.encode_target(houses(), "float64")[:, 0], np.array([1, 2, 3, 6]) / 3, rtol=1e-15)


@pytest.mark.parametrize(("target", "task"), [(text(*"aaaa"), "classification"), (np.full(4, 0.1), "regression")])
def test_a_target_with_one_value_is_refused(target, task):
    with pytest.raises(ValueError, match=r"target 'price' has the single value (a|0\.1); accepted: another --target"):
        Preprocessing.fit(houses(target, task))


def test_a_column_of_names_is_refused():
    names = text(*(f"name {i}" for i in range(MAX_CATEGORIES + 1)))
    table = Table("people.csv", {"name": names}, np.arange(len(names), dtype=float), "y", "regression")
    with pytest.raises(ValueError, match="column 'name' has 1001 different texts"):
        Preprocessing.fit(table)


INCOMPLETE = {"area": np.array([50, np.nan, 70, 90]), "town": text("b", None, "b", None)}


def test_missing_values_are_the_mean_or_no_category_and_have_inputs_of_their_own():
    learnt = Preprocessing.fit(houses(**INCOMPLETE))
    assert learnt.with_missing == ["area", "town"]
    assert learnt.columns["area"] == {"mean": 70.0, "scale": np.std([50, 70, 90]), "missing": True}
    assert learnt.columns["town"] == {"categories": ["b"], "missing": True}
    inputs = learnt.transform(houses(**INCOMPLETE), "float64")
    half = np.sqrt(1.5)
    np.testing.assert_allclose(inputs[:, :2], [[-half, 1], [0, 0], [0, 1], [half, 0]], rtol=1e-15)
    np.testing.assert_array_equal(inputs[:, 3:], [[0, 0], [1, 1], [0, 0], [0, 1]])
    inputs = Preprocessing.fit(houses()).transform(houses(**INCOMPLETE))  # with all values there in training
    np.testing.assert_array_equal(inputs[1], 0)


def test_a_column_without_values_in_the_training_rows_is_all_missing():
    table = houses(area=np.full(4, np.nan), town=text(*[None] * 4))
    learnt = Preprocessing.fit(table)
    np.testing.assert_array_equal(learnt.transform(table), [[0, 0, 0, 1, 1]] * 4)
    np.testing.assert_array_equal(learnt.transform(houses(town=text(*"aabb")))[:, 1:], [[0, 0, 0, 0]] * 4)


@pytest.mark.parametrize(
    "table",
    [
        houses(),
        houses(text("a", "b", "a", "c"), "classification"),
        houses(**INCOMPLETE)._replace(
            ids={"id": text(*"1234")}, dialect=Dialect(delimiter=";", na=("-",), header=False)
        ),
    ],
)
def test_it_survives_json(table):
    learnt = Preprocessing.fit(table)
    assert Preprocessing.from_dict(json.loads(json.dumps(learnt.to_dict()))) == learnt


def test_that_of_an_earlier_version_is_read():
    learnt = Preprocessing.fit(houses())
    before = {key: value for key, value in learnt.to_dict().items() if key not in ("ids", "dialect")}
    assert Preprocessing.from_dict(before) == learnt


@pytest.mark.parametrize(
    "forged",
    [
        {"ids": "id"},
        {"ids": [1]},
        {"ids": ["a", "a"]},
        {"dialect": []},
        {"dialect": {"more": 1}},
        {"dialect": {"delimiter": ""}},
        {"dialect": {"delimiter": "\n"}},
        {"dialect": {"decimal": ",", "thousands": ","}},
        {"dialect": {"encoding": "zip"}},
        {"dialect": {"encoding": 5}},
        {"dialect": {"na": [None]}},
        {"dialect": {"header": "no"}},
        {"columns": {"area": {"mean": 1.0, "scale": 1.0, "missing": 1}}},
        {"columns": {"area": {"missing": True}}},
        {"columns": {"area": {"categories": [], "missing": True}}},
    ],
)
def test_a_forged_one_is_refused(forged):
    made = json.loads(json.dumps(Preprocessing.fit(houses(**INCOMPLETE)).to_dict()))
    with pytest.raises((ValueError, TypeError)):
        Preprocessing.from_dict(made | forged)


@pytest.mark.parametrize(("n", "fraction", "n_test"), [(10, 0.25, 2), (150, 0.2, 30), (7, 0, 0), (3, 0.99, 2)])
def test_split_gives_every_row_to_one_part(n, fraction, n_test):
    train, test = split(n, fraction, seed=3)
    assert len(test) == n_test
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n))


def test_split_depends_on_the_seed_only():
    labels = np.arange(100) % 3
    same, other = split(100, 0.3, 1, labels=labels), split(100, 0.3, 2, labels=labels)
    for first, second in zip(split(100, 0.3, 1, labels=labels), same, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(same[1], other[1])


def test_split_is_random_within_a_class():
    chosen = [split(20, 0.5, seed, labels=np.arange(20) // 10)[1] for seed in range(50)]
    counts = np.bincount(np.concatenate(chosen), minlength=20)
    assert counts.min() > 10  # 25 expected, standard deviation 3.5
    assert counts.max() < 40


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.9])
def test_split_gives_each_class_its_share_and_keeps_one_for_training(fraction):
    counts = np.array([1, 2, 3, 50, 101])
    labels = np.random.default_rng(4).permutation(np.repeat(text(*"vwxyz"), counts))
    train, test = split(len(labels), fraction, seed=5, labels=labels)
    for name, count in zip("vwxyz", counts, strict=True):
        assert np.sum(labels[train] == name) >= 1
        share = min(count * fraction, count - 1)
        assert abs(np.sum(labels[test] == name) - share) <= 1


def test_split_keeps_its_size_with_many_small_classes():
    assert len(split(150, 0.1, labels=np.arange(150) % 50)[1]) == 15


@pytest.mark.parametrize(
    ("n", "fraction", "labels"), [(10, 1.0, None), (10, -0.1, None), (3, 0.1, None), (3, 0.5, "abc")]
)
def test_split_refuses_an_impossible_test_part(n, fraction, labels):
    with pytest.raises(ValueError, match="test_fraction"):
        split(n, fraction, labels=None if labels is None else list(labels))


@pytest.mark.parametrize("factor", [2.0**900, 2.0**-900, 2.0**520, -(2.0**-540)])
def test_numbers_of_any_size_are_standardized_alike(factor):
    values = np.random.default_rng(0).normal(size=50) + 3
    (mean, scale), (scaled_mean, scaled) = (preprocessing._mean_and_scale(v) for v in (values, values * factor))
    assert (scaled_mean / factor, scaled / abs(factor)) == (mean, scale)


def test_the_scale_of_a_constant_is_one():
    for constant in 0.0, 1e300, -1e-300, 5.0:
        assert preprocessing._mean_and_scale(np.full(8, constant)) == (constant, 1.0)


def test_the_scale_of_numbers_too_close_for_one_is_one():
    assert preprocessing._mean_and_scale(np.array([0.0, 5e-324])) == (0.0, 1.0)
