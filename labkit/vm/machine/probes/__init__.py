"""Compiled hooks and what they reach: the only code here that imports numba."""
