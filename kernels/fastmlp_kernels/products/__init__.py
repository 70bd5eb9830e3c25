"""The three products of backpropagation, and what is fused with them, for a block of rows.

Forward z = a W + b, backward δ Wᵀ, gradient aᵀ δ; the first layer's of sparse inputs, too. Serial functions over one
block or one piece of the weights: how a batch is cut up, and who does what, is decided in `drivers`.
"""
