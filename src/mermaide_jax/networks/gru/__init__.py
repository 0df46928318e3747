"""Gated recurrent units: the reference, loops by hand, in C, and kernels."""
