"""Diversity, calibration, fidelity, reconstruction.

One module a metric class, named after what it measures, for MMagic's evaluator:
`diversity`, `calibration`, `fidelity`, `reconstruction`, over what they share in `base`
(the class `SampleMetric`) and `record`. `functional` has the arithmetic, as functions
of torch tensors, `networks` the networks that it stands on: neither needs MMagic.
Importing this package imports nothing heavy.
"""
