"""Work that leaves no trace in the random number generators."""

import random
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def preserved_rng():
    """Restore the states of Python's, NumPy's and torch's generators on exit."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
