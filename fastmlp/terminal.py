"""Text that comes from files, in a form that is safe to print."""

MOST_CHARACTERS = 299  # of a line about a file


def printable(text):
    """Text with all characters that cannot be printed, such as those that control a terminal, as escape sequences."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


class LineError(ValueError):
    """Error about a file; its message, which may quote the file, is a line of at most 299 printable characters."""

    def __init__(self, message):
        line = printable(message)
        if len(line) > MOST_CHARACTERS:
            half = (MOST_CHARACTERS - 5) // 2
            line = f"{line[:half]} ... {line[-half:]}"
        super().__init__(line)
