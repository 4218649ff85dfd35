"""One process and two, which are to compute the same."""

import copy
import os

import torch
import torch.distributed as torch_dist
import torch.multiprocessing


class Scope:
    """Both sides of a comparison start the same, and see batches in the same order."""

    def __init__(self, world_size: int, rank: int):
        self.world_size, self.rank = world_size, rank

    def own(self, data: dict) -> dict:
        """This process's part of a global batch."""
        n = len(data['inputs']) // self.world_size
        part = slice(self.rank * n, (self.rank + 1) * n)
        return {key: value[part] for key, value in copy.deepcopy(data).items()}


def worker(rank, world_size, port, folder, function, args):
    os.environ.update(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
    )
    torch.set_num_threads(1)
    if world_size > 1:
        torch_dist.init_process_group('gloo', rank=rank, world_size=world_size)
    result = function(Scope(world_size, rank), *args)
    torch.save(result, folder / f'{world_size}_{rank}.pth')
    if world_size > 1:
        torch_dist.barrier()
        torch_dist.destroy_process_group()


def run(world_size, folder, function, *args) -> list:
    """What ``function(scope, *args)`` returns in each process."""
    import mmagic_mr.plugin  # noqa: F401  Once, here, not in each forked process.

    torch.multiprocessing.start_processes(
        worker,
        (world_size, free_port(), folder, function, args),
        nprocs=world_size,
        start_method='fork',
    )
    files = [folder / f'{world_size}_{rank}.pth' for rank in range(world_size)]
    return [torch.load(file) for file in files]


def compare(folder, function, *args, tolerance, relative=0.0):
    """Both processes of two have what one has."""
    (one,), two = (run(n, folder, function, *args) for n in (1, 2))
    assert one.keys() == two[0].keys()
    for name, expected in one.items():
        assert torch.equal(two[0][name], two[1][name]), name
        close = torch.isclose(two[0][name], expected, relative, tolerance)
        far = ~close
        wrong = f'one process has {expected[far][:3]}, two have {two[0][name][far][:3]}'
        assert close.all(), f'{name}: {wrong}'


def free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]
