"""Backpropagation shown number by number: worked examples small enough to follow, and the text that tells them.

All numbers come from the library as it is; nothing here computes them in a way of its own.
"""
