"""Tables as people have them: each trains a model that predicts, or a line names the option with which it does."""

import bz2
import csv
import gzip
import io
import shlex
import sys
from typing import NamedTuple

import numpy as np
import pytest
from fastmlp_kernels.tile.peak import Peak

from fastmlp.cli import main
from fastmlp.tables import datasets

pytest.importorskip("pyarrow")

ROWS = 30
X = np.random.default_rng(0).uniform(-900, 900, ROWS).round(2)


class Mess(NamedTuple):
    """A file, by its bytes; the option with which it is mended, if it is refused without; and how it is called."""

    content: bytes
    mend: tuple = ()
    name: str = "t.csv"
    said: str = ""  # in what training prints


def table(separator=",", end="\n", header="x{s}kind{s}side", **columns):
    """Text of a table with numbers, texts, two classes, and more columns."""
    columns = {"x": X, "kind": ["u", "v"] * (ROWS // 2), "side": np.where(X > 0, "left", "right")} | columns
    rows = [separator.join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    names = header.format(s=separator) if header else ""
    names += "".join(separator + name for name in [*columns][3:] if header)
    return end.join([names, *rows] if header else rows) + end


def of(**columns):
    return table(**columns).encode()


BIG = (10 * abs(X) + 1000).round(2)  # have separators of thousands
GERMAN = [f"{x:_.2f}".replace(".", ",").replace("_", ".") for x in BIG]
MESSES = {
    "byte order mark": Mess(b"\xef\xbb\xbf" + of()),
    "latin-1": Mess(table(town=["Köln", "Bern"] * 15).encode("latin-1"), ("--encoding", "latin-1")),
    "latin-1 in the header": Mess(table(größe=X).encode("latin-1"), ("--encoding", "latin-1")),
    "UTF-16 without a byte order mark": Mess(table().encode("utf-16-le"), ("--encoding", "utf-16-le")),
    "UTF-16 with other letters": Mess(
        table(town=["Köln", "Bern"] * 15).encode("utf-16-be"), ("--encoding", "utf-16-be")
    ),
    "UTF-32": Mess(table(town=["Köln", "Bern"] * 15).encode("utf-32")),
    "UTF-32 without a byte order mark": Mess(table(größe=X).encode("utf-32-le"), ("--encoding", "utf-32-le")),
    "a line for Excel": Mess(b"sep=;\r\n" + table(";", "\r\n").encode()),
    "UTF-16": Mess(table("\t", "\r\n", town=["Köln", "Bern"] * 15).encode("utf-16")),
    "semicolons, decimal commas": Mess(table(";").replace(".", ",").encode()),
    "decimal commas in quotes": Mess(of(price=[f'"{i},5"' for i in range(ROWS)]), ("--decimal", ",")),
    "commas and points": Mess(table(";", price=[f"{i},5" for i in range(ROWS)]).encode(), ("--decimal", ",")),
    "thousands": Mess(of(price=[f'"{x:,.2f}"' for x in BIG]), ("--thousands", ",")),
    "some thousands": Mess(of(price=[f'"{x:,.2f}"' for x in BIG / 4]), ("--thousands", ",")),
    "thousands in a whole number": Mess(of(price=[f'"{x:,.0f}"' for x in BIG]), ("--thousands", ",")),
    "spaces between thousands": Mess(of(price=[f"{x:_.2f}".replace("_", " ") for x in BIG]), ("--thousands", " ")),
    "points between thousands": Mess(
        table(";", x=[str(x).replace(".", ",") for x in X], price=GERMAN).encode(),
        ("--thousands", ".", "--decimal", ","),
    ),
    "tabs": Mess(table("\t").encode(), name="t.tsv"),
    "pipes": Mess(table("|").encode()),
    "other separators": Mess(table("^").encode(), ("--delimiter", "^")),
    "gzip": Mess(gzip.compress(of()), name="t.csv.gz"),
    "gzip that is not called so": Mess(gzip.compress(of())),
    "standard input": Mess(of(), name="-"),
    "compressed standard input": Mess(gzip.compress(of()), name="-"),
    "no header": Mess(
        table(header="", side=X > 0, kind=X).replace("True", "1").replace("False", "0").encode(), ("--no-header",)
    ),
    "names": Mess(
        of(name=[f"n{i}" for i in range(ROWS)]),
        said="most rows have other texts, as names are, in name (30): --id, --drop?",
    ),
    "missing values": Mess(
        of(age=["", "NA", "nan", " ? ", "null", "#N/A", *range(ROWS - 6)]),
        said="6 of 30 rows have missing values: age (6)",
    ),
    "other missing values": Mess(of(age=["unknown", *range(ROWS - 1)]), ("--na", "unknown")),
    "a note": Mess(of(age=['"so, ""ill"" "', *range(ROWS - 1)]), ("--na", '"so, ""ill"""')),
    "texts that look missing": Mess(
        of(country=["NA", "DE", " None "] * 10),
        said="taken for missing: 'NA' in country; --no-default-na keeps such texts",
    ),
    "a number for missing values": Mess(of(age=[*range(ROWS - 2), -999, -999])),
    "missing texts": Mess(of(town=["Rome", "", "Oslo"] * 10), said="10 of 30 rows have missing values: town (10)"),
    "missing classes": Mess(of() + b"1,u,\n2,v,NA\n", said="2 of 32 rows have no value of 'side': left out"),
    "quoted newlines": Mess(of(note=['"a\nb"', '"c ""d"",\r\n"'] * 15)),
    "CRLF": Mess(table(end="\r\n").encode()),
    "CR": Mess(table(end="\r").encode()),
    "separator at the end": Mess(table(end=",\n").encode()),
    "separator at the end of rows": Mess(table(end=",\n").replace(",\n", "\n", 1).encode()),
    "row labels": Mess(
        b",x,kind,side\n" + "".join(f"{i},{row}\n" for i, row in enumerate(table().split()[1:])).encode(),
        ("--drop", "0"),
    ),
    "a name twice": Mess(of(y=X).replace(b"y", b"x", 1), ("--drop", "x.1")),
    "a name with a comma": Mess(
        of(day=[f"2020-01-{i + 1:02}" for i in range(ROWS)]).replace(b"day", b'"day, ""d"""', 1),
        ("--drop", '"day, ""d"""'),
    ),
    "dates": Mess(of(day=[f"2020-01-{i + 1:02}" for i in range(ROWS)]), ("--drop", "day")),
    "dates with points": Mess(of(day=[f"{i + 1}.1.2020" for i in range(ROWS)]), ("--types", "day=category")),
    "dates and times": Mess(of(at=[f"1/{i + 1}/2020 10:00 PM" for i in range(ROWS)]), ("--drop", "at")),
    "numbers and text": Mess(of(code=[*range(ROWS - 1), "B7"]), ("--types", "code=category")),
    "one value": Mess(of(unit=["kg"] * ROWS), said="unit (one value)"),
    "no values": Mess(of(unit=[""] * ROWS, more=["NA"] * ROWS), said="unit (no values), more (no values)"),
    "currencies": Mess(of(price=[f"${i}.50" for i in range(ROWS)]), ("--types", "price=number")),
    "percent": Mess(of(rate=[f"{i} %" for i in range(ROWS)]), ("--types", "rate=number")),
    "currencies and thousands": Mess(
        of(price=[f'"-$ {x:,.2f}"' for x in BIG]), ("--types", "price=number", "--thousands", ",")
    ),
    "infinite": Mess(of(age=["inf", *range(ROWS - 1)]), ("--na", "inf")),
}
REFUSED = {
    "cells too many": (of() + b"1,u,left,more\n", "line 32: Expected 3 columns, got 4"),
    "one class": (
        of().replace(b"left", b"right"),
        "target 'side' has the single value right; accepted: another --target",
    ),
    "an Excel workbook": (b"PK\x03\x04" + bytes(40), "it is an Excel workbook"),
    "truncated": (gzip.compress(of())[:-9], "cannot be read as a CSV file: Truncated"),
    "nothing": (b"", "is empty"),
    "nothing in it": (gzip.compress(b""), "is empty"),
    "a header alone": (b"x,kind,side", "has no data rows"),
}


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Function that runs a command of `fastmlp` here; returns exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fastmlp.cli.train.fma_peak", lambda *_: Peak(1e9, 1.0))  # takes half a second to measure

    def run(*argv, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main(list(argv))
        return status, *capsys.readouterr()

    return run


def write(name, content):
    with open(name, "wb") as file:
        file.write(content)


TRAIN = ("--hidden", "4", "--epochs", "1", "--threads", "1", "--save", "model")


def train(command, mess, *options):
    """Train on a file, with the target `side` unless the options name one."""
    if mess.name != "-":
        write(mess.name, mess.content)
    target = "2" if "--no-header" in options else "side"
    return command("train", mess.name, "--target", target, *TRAIN, *options, stdin=mess.content)


@pytest.mark.parametrize("mess", MESSES.values(), ids=MESSES.keys())
def test_a_messy_table_trains_or_names_the_option_with_which_it_does(command, mess):
    status, printed, said = train(command, mess)
    tried, options = [], [mess.mend[i : i + 2] for i in range(0, len(mess.mend), 2)]
    while status:  # each line names at least one option more
        assert said.count("\n") == 1
        named = [o for o in options if o not in tried and (" ".join(o) in said or shlex.join(o) in said)]
        assert named, said
        tried += named
        status, printed, said = train(command, mess, *(word for option in tried for word in option))
    assert tried == options
    assert mess.said in printed
    status, printed, said = command("predict", "model", mess.name, stdin=mess.content)
    assert status == 0, said
    assert len(printed.splitlines()) >= 1 + ROWS
    status, printed, said = command("evaluate", "model", mess.name, stdin=mess.content)
    assert status == 0, said


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_no_option_mends_is_refused_in_a_line(command, content, words):
    status, _, said = train(command, Mess(content))
    assert (status, said.count("\n")) == (2, 1)
    assert words in said


def predictions(printed):
    header, *rows = csv.reader(printed.splitlines())
    return header, rows


def test_identifiers_are_no_features_and_come_back_with_predictions(command):
    many = 1300
    rows = [f"00{i},NA{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(many)]
    mess = Mess(("id,code,x,side\n" + "".join(rows)).encode())
    text = Mess(mess.content.replace(b"00", b"n00"))
    _, _, said = train(command, text)
    assert (
        "column 'id' has 1040 different texts, accepted are 1000; of names or identifiers: --drop id or --id id" in said
    )
    assert train(command, mess, "--id", "id,code")[0] == 0
    status, printed, _ = command("predict", "model", "t.csv", "--probabilities")
    header, found = predictions(printed)
    assert (status, header) == (0, ["id", "code", "side", "P(a)", "P(b)"])
    assert [row[:2] for row in found[:3]] == [["000", "NA0"], ["001", "NA1"], ["002", "NA2"]]
    header, found = predictions(command("predict", "model", "t.csv", "--id", "x")[1])
    assert (header, found[3][0]) == (["x", "side"], "3")
    assert predictions(command("predict", "model", "t.csv", "--id", "")[1])[0] == ["side"]
    write("new.csv", b"x\n1\n")
    assert "no column 'id'" in command("predict", "model", "new.csv")[2]
    assert command("predict", "model", "new.csv", "--id", "")[0] == 0


def test_features_are_those_that_are_named_or_not_dropped(command):
    mess = Mess(of(a=X, b=X))
    for options, inputs in {
        ("--features", "x,b"): "2-4-2",
        ("--features", "0"): "1-4-2",
        ("--drop", "x,1"): "2-4-2",
        ("--drop", "a", "--id", "b"): "3-4-2",
        ("--types", "a=category", "--drop", "b"): "33-4-2",
    }.items():
        status, printed, said = train(command, mess, *options, "--test-fraction", "0")
        assert status == 0, said
        assert f"network        {inputs}, " in printed
        assert command("predict", "model", "t.csv")[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--drop", "kin"), "no column 'kin' (did you mean 'kind'?); columns are x, kind, side"),
        (("--features", "y"), "no column 'y'"),
        (("--id", "7"), "no column '7'"),
        (("--types", "kid=number"), "--types has 'kid' (did you mean 'kind'?)"),
        (("--types", "kind=numbr"), "--types is 'numbr' (did you mean 'number'?); accepted: number, category"),
        (("--types", "kind=number"), "column 'kind' must hold numbers; got 'u' in data row 1"),
        (("--drop", "side"), "the target 'side' is among the columns of --drop or --id"),
        (("--id", "side"), "the target 'side' is among the columns of --drop or --id"),
        (("--drop", "x", "--features", "kind"), "--drop is x, with --features; accepted: one of them"),
        (("--no-header", "--target", "side"), "no column 'side'; columns are 0, 1, 2"),
        (("--drop", "x,kind,side"), "no column is left"),
        (("--drop", "x,kind"), "no feature column beside the target 'side'"),
        (("--delimiter", ";;"), "--delimiter is ';;'"),
        (("--delimiter", ";"), "no column 'side' (accepted: --delimiter ','); columns are x,kind,side"),
        (("--decimal", ";"), "--decimal is ';'; accepted: ., ,"),
        (("--thousands", "."), "'.' is both between thousands and before fractions; accepted: another --thousands"),
        (("--thousands", ";;"), "--thousands is ';;'; accepted: one character"),
        (("--encoding", "utf-9"), "--encoding is 'utf-9'"),
        (("--encoding", "zip"), "--encoding is 'zip'"),
        (("--encoding", "punycode"), "--encoding is 'punycode'"),
        (("--encoding", "utf-16"), "cannot be read as a CSV file"),
    ],
)
def test_options_that_do_not_fit_are_refused(command, options, words):
    status, _, said = train(command, Mess(of()), *options)
    assert (status, said.count("\n")) == (2, 1)
    assert words in said


def test_what_training_did_not_know_is_counted_in_warnings(command):
    assert train(command, Mess(of(age=["", *range(ROWS - 1)])))[0] == 0
    write("new.csv", b"x,age,kind,side\n1,,u,left\n2,3,w,right\n,4,,left\n5,6,v1,left\n")
    for name in "predict", "evaluate":
        status, _, said = command(name, "model", "new.csv")
        assert status == 0
        missing, texts = said.splitlines()
        begin = f"fastmlp {name}: warning: "
        assert missing.startswith(f"{begin}1 of 4 rows have missing values: x (1), kind (1); none were missing there")
        assert texts.startswith(f"{begin}2 of 4 rows have texts in column 'kind' that training did not, such as 'w'")
    write("new.csv", b"x,age,kind,side\n1,,u,left\n2,3,u,\n")
    assert "1 of 2 rows have no value of 'side': left out" in command("evaluate", "model", "new.csv")[2]
    assert command("predict", "model", "new.csv")[2] == ""


def test_what_was_said_about_the_training_file_holds_for_others_until_it_is_said_anew(command):
    assert (
        train(command, Mess(table("^", code=["1.5", "-", "3,0"] * 10).encode()), "--delimiter", "^", "--na", "-")[0]
        == 0
    )
    write("same.csv", b"x^kind^code\n1^u^-\n")
    write("other.csv", b"x,kind,code\n1,u,none\n")
    assert command("predict", "model", "same.csv")[0] == 0
    assert "no column 'x'" in command("predict", "model", "other.csv")[2]
    status, _, said = command("predict", "model", "other.csv", "--delimiter", ",", "--na", "none")
    assert (status, said) == (0, "")
    assert (
        "have texts in column 'code' that training did not"
        in command("predict", "model", "other.csv", "--delimiter", ",")[2]
    )


@pytest.mark.parametrize("name", ["t.csv.gz", "-"])
def test_content_beyond_the_limit_is_refused_while_it_is_read(command, name):
    rows = b"1.5,u,left\n2.5,v,right\n" * 100_000
    content = b"x,kind,side\n" + rows
    mess = Mess(gzip.compress(content), name=name)
    status, _, said = train(command, mess, "--max-bytes", "2000000")
    assert (status, said.count("\n")) == (2, 1)
    assert "more bytes once it is uncompressed than the limit of 2,000,000; accepted: a larger --max-bytes" in said
    if name == "-":
        assert "limit of 2,000,000" in train(command, Mess(content, name="-"), "--max-bytes", "2000000")[2]
    else:
        assert datasets.load(name, "side", max_bytes=len(content)).n_rows == 200_000
        write("t.csv", content)
        assert datasets.load("t.csv", "side", max_bytes=1).n_rows == 200_000


@pytest.mark.parametrize("compression", ["gzip", "bz2", "zstd"])
def test_compressed_parts_that_follow_each_other_are_one_file(tmp_path, compression):
    import pyarrow as pa

    compress = bz2.compress if compression == "bz2" else lambda part: pa.Codec(compression).compress(part, asbytes=True)
    parts = map(compress, [of(), b"1,u,left\n"])
    path = tmp_path / "t.csv.gz"
    path.write_bytes(b"".join(parts))
    assert datasets.load(path, "side").n_rows == ROWS + 1


def test_what_is_said_about_columns_holds_for_other_kinds_of_files(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    columns = {"price": ["$1,000.50", "-", "7 €"], "age": [1, -9, 3], "town": ["-", "Rome", "NA"], "y": [1.5, 2.5, 4.0]}
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    texts = np.array(list(zip(columns["price"], map(str, columns["age"]), columns["town"], strict=True)))
    np.savez(tmp_path / "t.npz", X=texts, y=columns["y"])
    dialect = datasets.Dialect(na=("-", "-9"), thousands=",")
    for name, names in {"t.parquet": list(columns), "t.npz": ["0", "1", "2", "y"]}.items():
        table = datasets.load(tmp_path / name, "y", numbers=names[:2], dialect=dialect)
        np.testing.assert_array_equal(table.features[names[0]], [1000.5, np.nan, 7])
        np.testing.assert_array_equal(table.features[names[1]], [1, np.nan, 3])
        assert table.features[names[2]].tolist() == [None, "Rome", "NA"]


def test_classes_and_categories_that_look_missing_are_kept_if_that_is_asked_for(command):
    rows = "".join(f"{i},{'NA' if i % 2 else ''},{('None', 'Full')[i % 2]}\n" for i in range(ROWS))
    status, printed, _ = train(command, Mess(f"x,country,side\n{rows}".encode()))
    assert status == 2
    assert "taken for missing: 'NA' in country, 'None' in side; --no-default-na keeps" in printed
    status, printed, _ = train(command, Mess(f"x,country,side\n{rows}".encode()), "--no-default-na")
    assert status == 0
    assert "15 of 30 rows have missing values: country (15): imputed" in printed
    assert {row[0] for row in predictions(command("predict", "model", "t.csv")[1])[1]} <= {"None", "Full"}
    assert "None " in command("evaluate", "model", "t.csv")[1]
    status, _, said = command("evaluate", "model", "t.csv", "--default-na")
    assert "15 of 30 rows have no value of 'side': left out; --no-default-na keeps texts such as 'None'" in said
    assert train(command, Mess(of(age=["nan", *range(ROWS - 1)])), "--no-default-na")[2].endswith(
        "got 'nan' in data row 1; accepted: --na nan or --types age=category\n"
    )
    rows = "".join(f"{i},None\n" for i in range(ROWS))
    assert "has no values but 'None'; accepted: --no-default-na" in train(command, Mess(f"x,side\n{rows}".encode()))[2]


def test_errors_of_predict_and_evaluate_name_options_that_these_have(command):
    assert train(command, Mess(of(age=range(ROWS), name=["a", "b"] * 15)), "--id", "name")[0] == 0
    for content, words in {
        b"x,kind,side,age,name\n1,u,left,B7,a\n": "got 'B7' in data row 1; accepted: --na B7\n",
        b"x,x,kind,side,name\n1,1,u,left,a\n": "no column 'age'",
        b"x,,kind,side,name\n1,1,u,left,a\n": "no column 'age'",
    }.items():
        write("new.csv", content)
        for name in "predict", "evaluate":
            status, _, said = command(name, "model", "new.csv")
            assert (status, said.count("\n")) == (2, 1)
            assert words in said
            assert not {"--types", "--drop"} & set(said.split())
    write("new.csv", b"x,kind,age\n1,u,2\n")
    assert (
        "no column 'name'; columns are x, kind, age; accepted: --id \"\"" in command("predict", "model", "new.csv")[2]
    )


def test_what_was_said_in_training_can_be_taken_back(command):
    assert train(command, Mess(of(price=[f'"{x:,.2f}"' for x in BIG])), "--thousands", ",")[0] == 0
    write("new.csv", b"x;kind;price;side\n1,5;u;1000,5;left\n2,5;v;20,25;right\n")
    assert "accepted: --decimal ," in command("evaluate", "model", "new.csv")[2]
    said = command("evaluate", "model", "new.csv", "--decimal", ",")[2]
    assert "',' is both between thousands and before fractions; accepted: another --thousands, or none" in said
    assert command("evaluate", "model", "new.csv", "--thousands", "none")[0] == 0
    assert command("predict", "model", "new.csv", "--thousands", "none", "--decimal", ",")[0] == 0


@pytest.mark.parametrize("options", [(), ("--cross-validate", "3")])
def test_a_class_for_each_row_is_refused_with_what_to_do(command, options):
    rows = "".join(f"{x},{i},n{i}\n" for i, x in enumerate(X))
    write("t.csv", f"x,number,name\n{rows}".encode())
    found = "each of 30 rows has a class of its own in"
    said = command("train", "t.csv", "--target", "number", "--task", "classification", *options)[2]
    assert f"{found} 'number'; accepted: --task regression, another --target" in said
    assert f"{found} 'name'; accepted: another --target" in command("train", "t.csv", "--target", "name", *options)[2]


def test_a_negative_count_is_named_as_in_the_file(command):
    rows = "".join(f"{x},{-1 if i == 20 else i}\n" for i, x in enumerate(X))
    write("t.csv", f"x,n\n5,\n{rows}".encode())
    argv = "train", "t.csv", "--target", "n", "--loss", "poisson", "--epochs", "1", "--test-fraction", "0"
    assert "column 'n' has -1 in data row 22; accepted for --loss poisson: numbers from 0 on" in command(*argv)[2]


def test_a_long_text_among_numbers_is_shortened_and_the_option_stays(command):
    said = train(command, Mess(of(age=["long " * 99, *range(ROWS - 1)])))[2]
    assert said.endswith(" ...' in data row 1; accepted: --na with the whole text or --types age=category\n")


def test_a_target_is_asked_for_with_its_option(command):
    write("t.csv", of())
    said = command("train", "t.csv")[2]
    assert said.endswith("target needed, one of the columns x, kind, side; accepted: --target NAME\n")
