"""The mathematics of single numbers: elementary functions, activations, updates of weights.

Scalar functions, and loops over stretches of memory that become vector code. Nothing here knows of panels, layers or
threads.
"""
