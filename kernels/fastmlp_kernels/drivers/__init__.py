"""Many rows on many threads: how a batch is cut up, scratch memory, training, evaluation and prediction.

The only parallel regions are here. The arithmetic is that of `products` and `panelwise`.
"""
