"""Reading tables, and one clear line for each kind of bad input."""

import sys
import zipfile

import numpy as np
import pytest

from fastmlp.tables import datasets

pytest.importorskip("pyarrow")

IRISES = "length,width,kind\n5.1,3,setosa\n6.0,2,virginica\n4.9,3,setosa\n6.1,2,virginica\n"


@pytest.fixture
def write(tmp_path):
    """Return a function that writes text, bytes or arrays to a named file and returns its path."""

    def write(name, content):
        path = tmp_path / name
        if isinstance(content, dict):
            np.savez(path, **content)
        elif isinstance(content, np.ndarray):
            np.save(path, content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rejected(source, target=None, error=ValueError, **settings):
    """Return the one-line message with which `load` refuses the source, which names it."""
    with pytest.raises(error) as caught:
        datasets.load(source, target, **settings)
    message = str(caught.value)
    assert str(source) in message
    assert message.isprintable()
    assert len(message) < 300
    return message


def test_csv_gives_typed_columns_and_classes(write):
    table = datasets.load(write("irises.csv", IRISES), "kind")
    assert list(table.features) == ["length", "width"]
    np.testing.assert_array_equal(table.features["length"], [5.1, 6.0, 4.9, 6.1])
    assert table.target.tolist() == ["setosa", "virginica", "setosa", "virginica"]
    assert (table.n_rows, table.target_name, table.task) == (4, "kind", "classification")


@pytest.mark.parametrize("target", ["length", 0, "0", -3])
def test_the_target_is_a_name_or_a_position(write, target):
    table = datasets.load(write("irises.csv", IRISES), target)
    assert table.target_name == "length"
    assert list(table.features) == ["width", "kind"]
    assert table.features["kind"].tolist() == ["setosa", "virginica", "setosa", "virginica"]
    np.testing.assert_array_equal(table.target, [5.1, 6.0, 4.9, 6.1])


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("start", ["", "\N{BYTE ORDER MARK}"])
def test_csv_may_have_other_separators_and_a_byte_order_mark(write, separator, start):
    table = datasets.load(write("irises.csv", start + IRISES.replace(",", separator)), "length")
    assert list(table.features) == ["width", "kind"]


def test_csv_values_may_be_quoted_and_span_lines(write):
    rows, lines = 50_000, "one" + 30 * "\n" + "two"  # more than the reader takes in one piece
    text = '"a, b" , y\n' + f'"{lines}",1.5\n' * rows + '"x ""y""",2.5\n'
    table = datasets.load(write("notes.csv", text), "y")
    assert table.features["a, b"].tolist() == [lines] * rows + ['x "y"']


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('x,"a;b;c;d"', ["x", "a;b;c;d"]),
        ('"a;b;c",x', ["a;b;c", "x"]),
        ('"a, b, c";x', ["a, b, c", "x"]),
        ('"a;""b"";c","d\n;;e"', ['a;"b";c', "d\n;;e"]),
        ('size 5";x;y,z', ['size 5"', "x", "y,z"]),
        ('"a,b,c', None),
    ],
)
def test_separators_are_those_outside_of_quotes(write, header, names):
    separator = ";" if header.endswith((";x", ";y,z")) else ","
    row = separator.join("1" for _ in names or "a")
    path = write("t.csv", f"{header}\n{row}\n{row}\n")
    if names is None:
        rejected(path, "a")
    else:
        assert list(datasets.load_features(path).features) == names


@pytest.mark.parametrize(
    "labels",
    [
        ["00", "01", "02"],
        ["false", "true"],
        ["1.0", "2.0"],
        ["01", "A"],
        ["true", "maybe"],
        ["1", "01", "1.0"],
        ["+1", "-1"],
    ],
)
@pytest.mark.parametrize("task", [None, "classification"])
def test_classes_are_spelled_as_in_the_file(write, labels, task):
    table = datasets.load(
        write("t.csv", "x,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(3 * labels))), "y", task
    )
    assert table.task == "classification"
    assert table.target.tolist() == 3 * labels


@pytest.mark.parametrize(
    "values", [["01", "02"], ["true", "false"], ["0x1", "1"], ["1.0", "2.50"], ["2020-01-01"], ["1,5"]]
)
def test_columns_known_as_text_are_text_whatever_they_look_like(write, values):
    path = write("t.csv", "code;x\n" + "".join(f"{value};1,5\n" for value in values))
    table = datasets.load_features(path, texts={"code"})
    assert table.features["code"].tolist() == values
    assert table.features["x"].tolist() == [1.5] * len(values)
    assert datasets.load(path, "x", texts={"code"}).features["code"].tolist() == values


def test_truth_values_are_booleans(write):
    table = datasets.load(write("t.csv", "a,b,y\ntrue,TRUE,1\nfalse,1,2\n"), "y")
    assert table.features["a"].tolist() == [True, False]
    assert table.features["b"].tolist() == ["TRUE", "1"]


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("target", ["number", "label"])
def test_decimal_commas_are_read_as_points(write, separator, target):
    def table(mark):
        rows = [f"{i - 10.25}|{i}|{3 * i}.0e-1|{'hi' if i > 9 else 'lo'}".replace(".", mark) for i in range(30)]
        text = "\n".join(["number|whole|small|label", *rows])
        return datasets.load(write("t.csv", text.replace("|", separator)), target)

    points, commas = table("."), table(",")
    np.testing.assert_equal(commas, points)
    assert points.task == {"number": "regression", "label": "classification"}[target]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;b;y\n1,5;0.5;2\n2,5;1;3\n", "column 'a' has numbers with commas, such as '1,5', column 'b' with points"),
        ("a;y\n1,5;2\n1.234,5;3\n", None),
        ('a,y\n"1,5",2\n"2,5",3\n', "column 'a' has numbers with commas, such as '1,5'; accepted: decimal points"),
        ('a,y\n"1,234,567.5",2\n"2,345",3\n', "column 'a' has numbers with commas, such as '1,234,567.5'"),
        (
            "a;y\n" + "".join(f"{i},5;1\n" for i in range(30)) + "oops;1\n",
            "must hold numbers; got 'oops' in data row 31",
        ),
        ("a;y\n" + "".join(f"{i},5;1\n" for i in range(30)) + "1.5;1\n", None),
    ],
)
def test_numbers_with_commas_that_are_not_clear_are_refused(write, text, message):
    path = write("t.csv", text)
    if message:
        assert message in rejected(path, "y")
    else:
        assert len(datasets.load(path, "y").features["a"])


def test_parquet_gives_the_columns_of_every_kind_without_row_labels(write, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    columns = {
        "flag": [True, False],
        "kind": pa.array(["a", "b"]).dictionary_encode(),
        "price": pa.array([1, 2], pa.decimal128(5, 2)),
        "y": [0.5, 1.5],
        "__index_level_0__": [7, 9],
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = datasets.load(tmp_path / "t.parquet", "y")
    assert {name: values.tolist() for name, values in table.features.items()} == {
        "flag": [True, False],
        "kind": ["a", "b"],
        "price": [1.0, 2.0],
    }


def test_npy_columns_have_positions_for_names_and_the_last_is_the_target(write):
    array = np.array([[1.5, 2, 0], [3, 4, 1], [5, 6, 0], [7, 8, 1]])
    table = datasets.load(write("t.npy", array))
    assert (list(table.features), table.target_name) == (["0", "1"], "2")
    assert table.target.tolist() == ["0", "1", "0", "1"]
    np.testing.assert_array_equal(datasets.load(write("t.npy", array), 0).target, [1.5, 3, 5, 7])


def test_npz_holds_samples_and_named_targets(write):
    path = write("t.npz", {"X": np.eye(3), "y": np.array([0.5, 1, 2]), "kind": np.array(["a", "b", "a"])})
    np.testing.assert_array_equal(datasets.load(path).target, [0.5, 1, 2])
    table = datasets.load(path, "kind")
    assert table.target.tolist() == ["a", "b", "a"]
    assert list(table.features) == ["0", "1", "2"]
    assert "did you mean 'kind'?" in rejected(path, "kinds")


@pytest.mark.parametrize(
    ("name", "shape", "task", "first"),
    [
        ("digits", (1797, 64), "classification", "0"),
        ("iris", (150, 4), "classification", "setosa"),
        ("wine", (178, 13), "classification", "class_0"),
        ("breast_cancer", (569, 30), "classification", "malignant"),
        ("diabetes", (442, 10), "regression", 151.0),
    ],
)
def test_bundled_sets(name, shape, task, first):
    pytest.importorskip("sklearn")
    table = datasets.load(name)
    assert (table.n_rows, len(table.features)) == shape
    assert (table.task, table.target[0], table.target_name) == (task, first, "target")


def test_bundled_features_have_their_names():
    pytest.importorskip("sklearn")
    first = {name: values[0] for name, values in datasets.load("iris").features.items()}
    assert first == {
        "sepal length (cm)": 5.1,
        "sepal width (cm)": 3.5,
        "petal length (cm)": 1.4,
        "petal width (cm)": 0.2,
    }


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        ([0, 1, 1, 0], "classification"),
        ([0.0, 1.0, 1.0, 0.0], "classification"),
        ([0.0, 1.0, 1.0, 0.5], "regression"),
        (list(range(20)) * 2, "classification"),
        (list(range(21)) * 2, "regression"),
        ([3, 4, 5], "regression"),
    ],
)
def test_task_is_detected_from_the_target(values, task):
    dtype = object if isinstance(values[0], str) else None
    assert datasets.detect_task(np.array(values, dtype)) == task


def test_many_numbers_written_as_text_are_numbers(write):
    X = np.array([[str(i / 4), "a"] for i in range(30)])
    table = datasets.load(write("t.npz", {"X": X, "y": np.arange(30)}))
    np.testing.assert_array_equal(table.features["0"], np.arange(30) / 4)
    assert table.features["1"].tolist() == ["a"] * 30


def test_the_task_can_be_given(write):
    path = write("t.csv", "x,y\n1,0\n2,1\n3,0\n4,1\n")
    np.testing.assert_array_equal(datasets.load(path, "y", "regression").target, [0.0, 1, 0, 1])
    assert datasets.load(path, "x", "classification").target.tolist() == ["1", "2", "3", "4"]
    assert "column 'kind' must hold numbers; got 'setosa' in data row 1" in rejected(
        write("irises.csv", IRISES), "kind", task="regression"
    )
    with pytest.raises(ValueError, match="task"):
        datasets.load(path, "y", "clustering")


def test_features_alone_may_be_incomplete_where_nobody_uses_them(write):
    table = datasets.load_features(write("new.csv", "length,kind\n5.1,\n6.0,\n"))
    assert table.target is None
    np.testing.assert_array_equal(table.features["length"], [5.1, 6.0])
    assert list(datasets.load_features(write("new.npz", {"X": np.eye(2)})).features) == ["0", "1"]


def test_rows_are_taken_from_features_and_target(write):
    table = datasets.load(write("irises.csv", IRISES), "kind").rows(np.array([2, 1]))
    assert table.features["length"].tolist() == [4.9, 6.0]
    assert table.target.tolist() == ["setosa", "virginica"]


def test_unknown_sources_are_refused(tmp_path, write):
    assert "did you mean 'iris'?" in rejected("irsi", error=FileNotFoundError)
    rejected(tmp_path / "missing.csv", error=FileNotFoundError)
    assert "is not a file" in rejected(tmp_path)
    assert "unknown kind of file '.xlsx'; accepted are .csv" in rejected(write("t.xlsx", "a,b"))


@pytest.mark.parametrize("name", ["t.csv", "t.npy", "t.npz", "t.parquet"])
def test_empty_and_damaged_files_are_refused(write, name):
    assert "is empty" in rejected(write(name, ""), "y")
    assert "cannot be read as a" in rejected(write(name, b"\x93NUMPY\x00\xff\xfe"), "y")


def test_truncated_arrays_are_refused(write):
    path = write("t.npy", np.ones((4, 3)))
    assert "cannot be read as an NPY file" in rejected(write("t.npy", path.read_bytes()[:-8]))
    path = write("t.npz", {"X": np.ones((40, 3)), "y": np.ones(40)})
    assert "cannot be read as an NPZ file" in rejected(write("t.npz", path.read_bytes()[:-8]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,3\n1,2\n", "line 3: Expected 3 columns, got 2"),
        ("a,b,y\n1,2,3\n1,2,3\n1,2,3,4\n", "line 4: Expected 3 columns, got 4"),
        ("a,y\n", "no data rows"),
        ("a,y,a\n1,2,3\n", "2 columns are called 'a'"),
        (",a,y\n0,1,2\n", "column 1 has no name"),
        ("5.1,3.5,0\n4.9,3.0,0\n", "the first line must hold column names"),
        ("\N{BYTE ORDER MARK}5.1,3.5,0\n4.9,3.0,0\n", "the first line must hold column names"),
        ("y\n1\n2\n", "no feature column beside the target 'y'"),
        ("a,y\n1,?\n2,?\n", "column 'y', the target, has no values"),
        ('"a\x1b[2J\x9b\n",z\n1,2\n', r"no column 'y'; columns are a\x1b[2J\x9b, z"),
        (f"{'long ' * 100},z\n1,2\n", " ... "),
        ("a,y\n1,2\n-inf,3\n", "column 'a' has the infinite value -inf in data row 2"),
        (
            "a,y\n2020-01-01,2\n2020-01-02,3\n",
            "column 'a' must hold numbers, booleans or text; got dates such as '2020-01-01'",
        ),
        ("a,y\n" + "".join(f"{i}.5,1\n" for i in range(30)) + "oops,1\n", "got 'oops' in data row 31"),
    ],
)
def test_bad_csv_is_refused(write, text, message):
    assert message in rejected(write("t.csv", text), "y")


def test_an_unknown_target_is_refused_with_the_nearest_column(write):
    path = write("irises.csv", IRISES)
    assert "did you mean 'kind'?); columns are length, width, kind" in rejected(path, "kid")
    assert "no column 3" in rejected(path, 3)
    assert "target needed, one of the columns length, width, kind" in rejected(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.npy", np.ones(3), "must be 2-D"),
        ("t.npy", np.ones((3, 0)), "no data rows"),
        ("t.npy", np.ones((0, 3)), "no data rows"),
        ("t.npy", np.ones((3, 1)), "no feature column"),
        ("t.npy", np.ones((3, 2), complex), "must hold numbers"),
        ("t.npy", np.array([[1, 2], [np.inf, 4]]), "column '0' has the infinite value inf in data row 2"),
        ("t.npy", np.array([[1, np.nan], [1, np.nan]]), "column '1', the target, has no values"),
        ("t.npz", {"Z": np.eye(2)}, "no array 'X'"),
        ("t.npz", {"X": np.eye(2)}, "no column 'y'"),
        (
            "t.npz",
            {"X": np.eye(2), "y": np.ones((2, 2))},
            "one value for each row of X; got the shapes X (2, 2), y (2, 2)",
        ),
    ],
)
def test_bad_arrays_are_refused(write, name, content, message):
    assert message in rejected(write(name, content))


@pytest.mark.parametrize(
    ("name", "module"), [("t.csv", "pyarrow.csv"), ("t.parquet", "pyarrow.parquet"), ("iris", "sklearn")]
)
def test_a_missing_reader_is_named(write, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    source = name if name == "iris" else write(name, "a,b\n1,2\n")
    assert "pip install 'fastmlp[data]'" in rejected(source, error=ImportError)


def npy(description, version=b"\x01\x00", data=b"\0" * 24):
    """Bytes of an NPY file with this text for a header."""
    return b"\x93NUMPY" + version + len(description).to_bytes(2 * version[0], "little") + description.encode() + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 3)}"), "bytes; the file holds 24"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4, 1)}"), "has 32 bytes; the file holds 24"),
        (npy("{'descr': '<f8', 'fortran_order': True, 'shape': (-1, -3)}"), "shape (-1, -3)"),
        (
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 100001)}"),
            "100,001 columns; accepted are 100,000",
        ),
        (npy("{'descr': '|S0', 'fortran_order': False, 'shape': (1, 9000)}"), "dtype |S0; accepted: numbers"),
        (npy("{'descr': '<U0', 'fortran_order': False, 'shape': (1, 9000)}"), "dtype <U0; accepted: numbers"),
        (npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1, 9000)}"), "dtype |V0; accepted: numbers"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 3)}"), "dtype object; accepted: numbers"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3)}"), "cannot be read as an NP"),
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3)", b"\x02\x00"), "cannot be read as an NP"),
        (
            npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,)}", b"\x03\x00"),
            "the version of the format",
        ),
        (npy("(" * 3000), "cannot be read as an NP"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_arrays_that_are_not_what_their_header_says_are_refused(write, tmp_path, content, message, packed):
    path = write("t.npy", content)
    if packed:
        path = tmp_path / "t.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("X.npy", content)
    assert message in rejected(path)


def test_tables_that_are_too_large_once_they_are_uncompressed_are_refused(write, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    zeros = np.zeros((50_000, 4), np.int8)
    np.savez_compressed(tmp_path / "t.npz", X=zeros, y=zeros[:, 0])
    columns = {"a": np.zeros(50_000), "b": ["long" * 1000] * 50_000}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    for name, target, size in ("t.npz", "y", 250_256), ("t.parquet", "a", 800_000):
        assert (tmp_path / name).stat().st_size < 100_000
        assert f"has {size:,} bytes once it is uncompressed; the limit is 200,000" in rejected(
            tmp_path / name, target, max_bytes=200_000
        )
        assert datasets.load(tmp_path / name, target, max_bytes=1_000_000).n_rows == 50_000
    np.savez(tmp_path / "t.npz", X=zeros, y=zeros[:, 0])
    assert datasets.load(tmp_path / "t.npz", max_bytes=1).n_rows == 50_000


def test_members_that_claim_more_than_they_can_hold_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, X=np.eye(3))
    content = path.read_bytes()
    size = (128 + 72).to_bytes(4, "little")
    path.write_bytes(content.replace(size, (3_000_000_000).to_bytes(4, "little")))
    assert "cannot have 3,000,000,000 bytes" in rejected(path)


def test_a_text_of_many_rows_is_in_memory_once(tmp_path, write):
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({"a": ["ab", "cd", "ab", None], "y": [1, 2, 3, 4]}), tmp_path / "t.parquet")
    for path in tmp_path / "t.parquet", write("t.csv", "a,y\nab,1\ncd,2\nab,3\n,4\n"):
        texts = datasets.load_features(path).features["a"]
        assert texts.tolist() == ["ab", "cd", "ab", None]
        assert texts[0] is texts[2]


def test_kinds_of_columns_that_could_take_any_memory_are_not_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    path, y = tmp_path / "t.parquet", np.arange(100.0)
    for values in [[0] * 1000], b"x" * 1000, {"a": 1}:
        pyarrow.parquet.write_table(pa.table({"a": [values] * 100, "y": y}), path)
        assert "column 'a' has the type " in rejected(path, "y")
        assert list(datasets.load_features(path, only=["y"]).features) == ["y"]
    pyarrow.parquet.write_table(pa.table({}), path)
    assert "no data rows" in rejected(path, "y")


def test_columns_that_are_not_asked_for_refuse_no_table(write):
    path = write("t.csv", 'x,note\n1,"1,234.50"\n2,"2,345.00"\n')
    assert list(datasets.load_features(path, only={"x": 0}).features) == ["x"]
    assert "numbers with commas" in rejected(path, "x")
    with pytest.raises(datasets.TableError, match="numbers with commas"):
        datasets.load_features(path, only=["x", "z"])  # all are read, for the message about the one that is missing


def test_a_header_may_be_long(write):
    names = [f"a rather long name of column number {i}" for i in range(40_000)]
    table = datasets.load_features(write("t.csv", ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n"))
    assert list(table.features) == names


def test_a_target_with_the_name_of_a_column_of_an_array_is_refused(write):
    path = write("t.npz", {"X": np.eye(3), "0": np.arange(3.0)})
    assert "array '0' has the name of a column of X" in rejected(path, "0")


def test_files_of_too_many_columns_are_refused(write):
    names = ",".join(map(str, range(100_001)))
    assert "100,001 columns; accepted are 100,000" in rejected(write("t.csv", f"{names}\n{names}\n"), "1")
