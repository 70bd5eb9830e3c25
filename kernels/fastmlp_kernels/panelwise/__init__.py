"""What happens to the panels of a layer between two products: dropout, softmax, and the losses of the outputs.

Loops over the rows and columns of panels that are in the cache. No products of matrices, no threads.
"""
