"""From a config to the rows of a benchmark."""

import copy
import time
from types import SimpleNamespace

import torch
from mmengine.registry import init_default_scope

from mmagic_mr import plugin  # noqa: F401  (registers the switches' optimizer too)
from mmagic_mr.benchmark.data import default_size, fit_networks, training_data
from mmagic_mr.benchmark.measure import Row, compare
from mmagic_mr.benchmark.schemes import Switches, schemes, wrappers_of
from mmagic_mr.hooks.divergence import DivergenceHook
from mmagic_mr.host import MODELS


def measure(
    cfg,
    inputs: int,
    size: int | None,
    switches: Switches,
    repeats: int,
    device: torch.device,
) -> list[Row]:
    """All schemes of a config's model at one size of images; see `compare`.

    Args:
        cfg: mmengine's Config of a run, its modules imported. Switches that are on in
            it are taken out: they are of the last row.
        inputs: Of the generator's update; the batch of a whole iteration is as many
            times as large as in the config.
        size: Side of the images that are generated; None: the paper's.
        switches: Of the last row.
        repeats: Rounds on the clock.
        device: Where it runs.
    """
    cfg = copy.deepcopy(cfg)
    for switch in 'channels_last', 'compile':
        cfg.model.pop(switch, None)
    batch_size = cfg.train_dataloader.get('batch_size') or inputs
    times = batch_size // (cfg.model.get('gen_batch_size') or batch_size)
    cfg.model.gen_batch_size = inputs
    model, size = build(cfg, size, device)
    data = training_data(model, max(1, times) * inputs, size)
    batch = model.make_batch(model.data_preprocessor(copy.deepcopy(data), True))
    made = schemes(model, switches)
    rows = compare(made, batch.first(inputs), data, repeats, device)
    return [row | dict(size=size, num_samples=model.num_samples) for row in rows]


def build(cfg, size: int | None, device: torch.device):
    """A model with untrained networks of this size, and the size itself."""
    init_default_scope('mmagic')
    size = size or default_size(MODELS.get(cfg.model.type))
    fit_networks(cfg, size)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).to(device)
    if model.predictor is not None:
        model.predictor.trained.fill_(True)  # what it says does not matter here
    return model.train(), size


def hardware(device: torch.device) -> str:
    """Its name, in words."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{device.type.upper()}, {torch.get_num_threads()} threads'


def guard_cost(
    cfg, inputs: int, size: int | None, repeats: int, device: torch.device
) -> list[tuple[float, float]]:
    """Seconds of an iteration without and with the DivergenceHook, in turn."""
    model, size = build(copy.deepcopy(cfg), size, device)
    data, wrappers = training_data(model, inputs, size), wrappers_of(model, {})
    guard = DivergenceHook()
    run = SimpleNamespace(
        model=model, optim_wrapper=wrappers, hooks=[], max_iters=None, iter=0
    )

    def block(hooks):
        start = time.perf_counter()
        for run.iter in range(guard.interval):  # the guard looks once in so many
            logs = model.train_step(copy.deepcopy(data), wrappers)
            for hook in hooks:
                hook.after_train_iter(run, 0, None, logs)
        return (time.perf_counter() - start) / guard.interval

    block([guard])
    return [(block([]), block([guard])) for _ in range(repeats)]
