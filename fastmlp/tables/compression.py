"""Content of files and of standard input, uncompressed while it is read, and no more of it than a limit."""

import importlib
import io
import re
import sys
from contextlib import contextmanager

PEEKED_BYTES = 1 << 22  # at the beginning of a stream, which can be looked at before they are read
# First bytes of compressed files, and pyarrow's names of the compressions.
COMPRESSIONS = {rb"\x1f\x8b": "gzip", rb"BZh[1-9]1AY&SY": "bz2", rb"\x28\xb5\x2f\xfd": "zstd"}
SUFFIXES = (".gz", ".bz2", ".zst")
STANDARD_INPUT = "-"


class Bounded(io.RawIOBase):
    """Bytes of a file, which are a ValueError beyond `most` of them."""

    def __init__(self, file, most):
        self._file, self._most, self._left = file, most, most

    def readable(self):
        """Return True."""
        return True

    def readinto(self, buffer):
        """Fill the buffer, but at the end of the file; return the number of bytes."""
        content = self._file.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(
                f"it has more bytes once it is uncompressed than the limit of {self._most:,}; accepted: a larger "
                "--max-bytes"
            )
        buffer[: len(content)] = content
        return len(content)


@contextmanager
def uncompressed(source, most):
    """Context with the content of a file or, for "-", of standard input: an `io.BufferedReader` whose `peek` is long.

    Whether it is compressed is told by its first bytes, whatever the file is called. It is a ValueError to read more
    than `most` bytes of the content, or of what is compressed.
    """
    file = sys.stdin.buffer if source == STANDARD_INPUT else open(source, "rb")  # noqa: SIM115
    try:
        stream = io.BufferedReader(Bounded(file, most), PEEKED_BYTES)
        start = stream.peek()
        for pattern, compression in COMPRESSIONS.items():
            if re.match(pattern, start):
                inner = importlib.import_module("pyarrow").CompressedInputStream(stream, compression)
                stream = io.BufferedReader(Bounded(inner, most), PEEKED_BYTES)
        yield stream
    finally:
        if source != STANDARD_INPUT:
            file.close()
