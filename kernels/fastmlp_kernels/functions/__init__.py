"""Mathematics of single numbers: elementary functions, activations, updates of weights.

These are scalar functions, and loops over contiguous ranges of memory that become vector code. Nothing here knows of
panels, layers or threads.
"""
