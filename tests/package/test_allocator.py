"""Freed memory is kept: counted in page faults, which no other process changes."""

import platform
import subprocess
import sys

import pytest

from mmagic_mr import allocator

COUNT = """
import resource, sys
import torch
from mmagic_mr.allocator import keep_freed_memory

if sys.argv[1] == 'keep':
    assert keep_freed_memory()
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2**24) for _ in range(2)]  # 64 MiB each
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*args):
    """Of the last of several equal rounds of making and freeing tensors."""
    command = [sys.executable, '-c', COUNT, *args]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason="glibc's switch")
def test_tensors_get_the_memory_of_those_before_them():
    assert page_faults('plain') > 100
    assert page_faults('keep') < 50


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.platform, 'libc_ver', lambda: ('', ''))
    monkeypatch.setattr(allocator.ctypes, 'CDLL', lambda name: pytest.fail('called'))
    assert not allocator.keep_freed_memory()
