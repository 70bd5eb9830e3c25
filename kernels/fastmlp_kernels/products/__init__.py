"""The three matrix products of backpropagation, with the elementwise steps that are fused with them.

Forward z = a W + b, backward δ Wᵀ, gradient aᵀ δ, and the same of a first layer with sparse inputs. All are serial
functions over one block of rows or one piece of the weights; `drivers` divides batches into these, for threads. What a
`MixedNetwork` multiplies is bfloat16: `mixed` has its products, `operands` what they read.

Throughout, a layer computes activations a = g(z) from net inputs z; its *slopes* are g'(z), its *error signals* δ =
dE/dz, one row a sample.
"""
