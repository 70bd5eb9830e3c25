"""Tables and numbers: reading data sets, turning their columns into inputs and targets, scoring what is predicted.

For the command line, but of use to others. Nothing here knows of networks, training or terminals.
"""
