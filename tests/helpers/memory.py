"""What autograd keeps for the backward pass."""

import weakref
from contextlib import contextmanager

import torch


@contextmanager
def saved_bytes():
    """A list that gets the bytes of every tensor autograd saves, a storage once."""
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        keep.append(tensor)  # no address is used twice
        return tensor

    keep, sizes = [], []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
    sizes.extend(storages.values())


class _Box:
    """What autograd holds in place of a tensor."""

    def __init__(self, tensor):
        self.tensor = tensor


@contextmanager
def peak_saved_bytes():
    """A list that gets the most bytes that autograd held at a time, a storage once."""
    held, peak = weakref.WeakSet(), [0]

    def pack(tensor):
        box = _Box(tensor.detach())
        held.add(box)
        storages = (b.tensor.untyped_storage() for b in held)
        sizes = {s._cdata: s.nbytes() for s in storages}
        peak[0] = max(peak[0], sum(sizes.values()))
        return box

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda box: box.tensor):
        yield peak
