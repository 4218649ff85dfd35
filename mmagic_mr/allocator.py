"""Memory of large tensors on a CPU: what was freed is kept for the next ones."""

import ctypes
import platform

# Of mallopt(3)
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
# Where glibc's own adaptation of the two ends
GLIBC_MMAP, GLIBC_TRIM = 32 * 2**20, 64 * 2**20
LARGEST = 2**31 - 1


def keep_freed_memory(keep: bool = True) -> bool:
    """Let the C library keep memory that tensors give back, for tensors to come.

    glibc returns a large block to the system when it is freed, and gets it back empty,
    page by page, when the next tensor of the size is made: a seventh of a training step
    on a CPU. Kept, it stays the process's until its end, at the most that it ever held
    at once. No value changes, and no memory of a GPU is concerned.

    Args:
        keep: False: as glibc does it where nobody asks.

    Returns:
        Whether there is such a switch: in another C library there is none, and nothing
        happens.

    Reference:
        mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.

    Example:
        >>> keep_freed_memory() == keep_freed_memory(keep=False)
        True
    """
    if platform.libc_ver()[0] != 'glibc':
        return False
    libc = ctypes.CDLL(None)
    sizes = (LARGEST, LARGEST) if keep else (GLIBC_MMAP, GLIBC_TRIM)
    done = [
        libc.mallopt(option, size)
        for option, size in zip((MMAP_THRESHOLD, TRIM_THRESHOLD), sizes, strict=True)
    ]
    if not keep:
        libc.malloc_trim(0)
    return all(done)
