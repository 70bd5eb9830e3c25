"""Tables of samples: reading data sets, converting their columns to inputs and targets, scoring predictions.

The command line is built on these modules, which can also be used alone. None of them uses networks, training or
terminals.
"""
