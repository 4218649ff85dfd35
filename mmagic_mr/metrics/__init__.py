"""Diversity, calibration, fidelity. Importing this package imports nothing heavy.

`registered` names the classes for MMagic's evaluator, the other modules the same
arithmetic as functions of torch tensors.
"""
