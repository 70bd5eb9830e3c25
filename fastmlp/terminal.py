"""Text that comes from files, in a form that is safe to print."""


def printable(text):
    """Text with all characters that cannot be printed, such as those that control a terminal, as escape sequences."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
