"""Backpropagation shown number by number: worked examples small enough to follow, and their description as text.

The library computes the numbers (`MLP.backpropagate`, `Trainer.step`); these modules only show them.
"""
