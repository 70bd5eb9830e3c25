"""Training timed beside other libraries: the same work in each of them, and processes that take turns at it.

What other libraries need is imported where it is used: none of them has to be there. Nothing here prints.
"""
