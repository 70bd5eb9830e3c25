"""Mathematics of single numbers: elementary functions, activations, updates of weights.

These are scalar functions, loops over contiguous ranges of memory that become vector code, and a table of the addresses
of the activations' loops. Nothing here knows of panels, layers or threads.
"""
