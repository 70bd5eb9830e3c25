"""Sizes of caches, from systems as they are and as they should not be."""

import pytest
from fastmlp_kernels import machine
from fastmlp_kernels.machine import Caches

FILES = "level", "type", "size"
# Folders of caches, as lines of level, type and size ("-" if there is no such file), and what is read from them.
SYSTEMS = {
    "server": (
        ["1 Data 32K", "1 Instruction 32K", "2 Unified 512K", "3 Unified 32768K"],
        (32 << 10, 512 << 10, 32 << 20),
    ),
    "other units": (["1 Data 49152", "2 Unified 2M", "3 Unified 1G"], (49152, 2 << 20, 1 << 30)),
    "no L3": (["1 Data 48K", "2 Unified 1280K"], (48 << 10, 1280 << 10, None)),
    "four levels": (["1 Data 64K", "4 Unified 128M"], (64 << 10, None, None)),
    "nothing": ([], (None, None, None)),
    "instructions only": (["1 Instruction 32K"], (None, None, None)),
    "no sizes": (["1 Data -", "2 Unified -"], (None, None, None)),
    "no levels": (["- Data 32K", "2 - 1M", "3 Unified 8M"], (None, None, 8 << 20)),
    "malformed": (["1 Data K", "2 Unified -5M", "3 Unified 1.5M"], (None, None, None)),
    "zero": (["1 Data 0K", "2 Unified 0", "3 Unified 32k"], (None, None, None)),
    "endless": ([f"1 Data {'9' * 5000}K", "2 Unified ٣M", "3 Unified 32KK"], (None, None, None)),
}


@pytest.mark.parametrize(("lines", "expected"), SYSTEMS.values(), ids=SYSTEMS)
def test_sizes_are_read_from_linux(tmp_path, lines, expected):
    for number, line in enumerate(lines):
        cache = tmp_path / f"index{number}"
        cache.mkdir()
        for name, text in zip(FILES, line.split(), strict=True):
            if text != "-":
                (cache / name).write_text(text + "\n", encoding="utf-8")
    (tmp_path / "uevent").touch()
    assert machine._linux_caches(tmp_path) == Caches(*expected)


def test_bytes_that_are_no_text_are_not_known(tmp_path):
    (tmp_path / "index0").mkdir()
    for name in FILES:
        (tmp_path / "index0" / name).write_bytes(b"\xff\xfe")
    assert machine._linux_caches(tmp_path) == Caches()
    assert machine._linux_caches(tmp_path / "nowhere") == Caches()


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"hw.l1dcachesize": 64, "hw.perflevel0.l1dcachesize": 128, "hw.perflevel0.l2cachesize": 12}, (128, 12, None)),
        ({"hw.l1dcachesize": 32, "hw.l2cachesize": 256, "hw.l3cachesize": 8192}, (32, 256, 8192)),
        ({"hw.l3cachesize": 0}, (None, None, None)),
    ],
    ids=["Apple", "Intel", "none"],
)
def test_sizes_are_read_from_macos(known, expected):
    assert machine._macos_caches(known.get) == Caches(*expected)


@pytest.mark.parametrize("system", ["win32", "freebsd14"])
def test_other_systems_are_not_asked(monkeypatch, system):
    monkeypatch.setattr(machine.sys, "platform", system)
    assert machine.caches.__wrapped__() == Caches()


def test_sizes_here_are_numbers_or_not_known():
    assert all(size is None or size > 0 for size in machine.caches())
