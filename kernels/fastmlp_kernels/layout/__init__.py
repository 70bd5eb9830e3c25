"""Memory layouts: matrices in panels, a network's packed parameters, samples, and pieces of the weights.

The functions compute offsets, and copy from one layout to another, to bfloat16 operands (see `forms`) with rounding. Of
the copied numbers they only find out whether they are finite, and sum the weights of samples. No threads.
"""
