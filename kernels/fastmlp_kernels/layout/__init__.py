"""Memory layouts: matrices in panels, a network's packed parameters, samples, and pieces of the weights.

The functions compute addresses, and copy from one layout to another. No arithmetic on the copied numbers, no threads.
"""
