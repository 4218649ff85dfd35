"""Diversity, calibration, fidelity, reconstruction, and what else samples can be asked.

One module a metric class, named after what it measures, for MMagic's evaluator:
`diversity`; `calibration`, `joint_coverage`, `energy_score`, `answers`, `style`: is the
law right; `fidelity`, `conditional_fidelity`; `reconstruction`, `averaging`. They stand
on what they share in `base` (the class `SampleMetric`), `record` and `truth`.
`functional` has the arithmetic, as functions of torch tensors, `networks` the networks
that it stands on: neither needs MMagic. Importing this package imports nothing heavy.
"""
