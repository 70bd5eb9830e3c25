"""Where numbers lie: matrices in panels, a network's parameters, samples, pieces of the weights.

Addresses and copies from one layout to another. No arithmetic on what is copied, no threads.
"""
