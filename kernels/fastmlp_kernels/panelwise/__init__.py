"""Operations on the panels of a layer between two products: dropout, softmax, and the losses of the outputs.

These are loops over the rows and columns of panels that are in the cache, without products of matrices or threads.
"""
