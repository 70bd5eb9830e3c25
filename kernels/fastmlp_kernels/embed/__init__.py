"""Networks inside other people's compiled code: made there, evaluated, differentiated, updated, called from C.

Serial functions over the rows that a caller has, on the caller's thread.
"""
