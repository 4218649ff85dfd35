"""Every process of a distributed run gets the same inputs, the same way changed."""

from mmengine.dataset import InfiniteSampler, worker_init_fn
from mmengine.registry import DATA_SAMPLERS, FUNCTIONS


@DATA_SAMPLERS.register_module()
class SameInputsSampler(InfiniteSampler):
    """mmengine's ``InfiniteSampler``, whose order all processes follow from its start.

    For models with ``distribute='samples'``. The batch size of the loader is that of
    the run: it is not multiplied by the number of processes.

    Args:
        args, kwargs: Those of ``InfiniteSampler``.

    Example:
        >>> sampler = SameInputsSampler(range(3), shuffle=False)
        >>> [index for index, _ in zip(sampler, range(5))]
        [0, 1, 2, 0, 1]
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rank, self.world_size = 0, 1  # read when the first index is asked for


@FUNCTIONS.register_module()
def same_worker_seeds(worker_id: int, seed: int = 0, num_workers: int = 1) -> None:
    """``worker_init_fn`` of a loader: a worker has the same seed in all processes.

    So that random crops and flips are the same.

    Args:
        worker_id: Number of the worker in its process.
        seed: Of the run.
        num_workers: Of each process.
    """
    worker_init_fn(worker_id, num_workers, rank=0, seed=seed)
