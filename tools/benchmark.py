"""Compares a generator update that shares work among the samples with a plain one.

python tools/benchmark.py configs/pix2pix_mr2_cityscapes.py

Plain: every input is repeated K times, as a host would do it. Shared: what does not
depend on the noise is computed once per input. Loss and gradients are the same. The two
run in turn, so that whatever else the machine does hits both.

python tools/benchmark.py configs/pix2pix_mr2_cityscapes.py --guard --size 64

Whole training iterations with and without the DivergenceHook, in turn.
"""

import statistics
import time
from pathlib import Path

from mmagic_mr import cli

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def parse_args():
    parser = cli.config_parser('Compare Pix2Pix generator updates, plain and shared')
    parser.add_argument('--inputs', type=int, default=2, metavar='N')
    parser.add_argument('--size', type=int, default=256, help='side of the images')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument(
        '--guard', action='store_true', help='what the DivergenceHook costs, instead'
    )
    parser.add_argument('--device', help='cpu, cuda (default: a GPU if any)')
    return parser.parse_args()


def update(model, batch, num_samples):
    """Forward and backward pass of one update.

    Args:
        model: an MRPix2Pix with an MR loss and K = ``model.num_samples``.
        batch: N inputs, or N*K repeated ones.
        num_samples: K, or 1 for repeated inputs.
    """
    model.zero_grad(set_to_none=True)
    samples = model.draw(model.generators, batch, num_samples)
    logits = model.discriminate(model.discriminators, batch, samples)
    samples = samples.reshape(-1, model.num_samples, *samples.shape[2:])
    target = batch.y[:: model.num_samples] if num_samples == 1 else batch.y
    loss = model.gan_loss(logits, True) + model.sample_losses['mr'](samples, target)
    loss.backward()


def count(function):
    """FLOP, and bytes that are kept for the backward pass."""
    from torch.autograd.graph import saved_tensors_hooks
    from torch.utils.flop_counter import FlopCounterMode

    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with FlopCounterMode(display=False) as flops, saved_tensors_hooks(keep, keep):
        function()
    return flops.get_total_flops(), sum(saved.values())


def seconds(functions, repeats, device):
    """Median time of each function; they run in turn, once before the clock starts."""
    import torch
    from tqdm import tqdm

    times = {name: [] for name in functions}
    for turn in tqdm(range(repeats + 1), unit='turn'):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def training_data(model, count, size):
    """A batch as a data loader gives it, of noise."""
    import torch
    from mmagic.structures import DataSample

    keys = model.input_field, model.target_field
    inputs = [
        {key: torch.randint(256, (3, size, size)).float() for key in keys}
        for _ in range(count)
    ]
    return dict(inputs=inputs, data_samples=[DataSample() for _ in range(count)])


def guard_cost(model, data, repeats):
    """Seconds of an iteration without and with the hook, block by block, in turn."""
    import copy
    from types import SimpleNamespace

    from mmengine.optim import OptimWrapperDict, build_optim_wrapper
    from tqdm import tqdm

    from mmagic_mr.hooks.divergence import DivergenceHook

    config = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4))
    names = model.generator_name, model.discriminator_name
    wrappers = OptimWrapperDict(
        **{n: build_optim_wrapper(getattr(model, n), config) for n in names}
    )
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
    return [(block([]), block([guard])) for _ in tqdm(range(repeats), unit='turn')]


def print_guard_cost(pairs):
    plain, guarded = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print('\n| training iteration | median time [ms] | ratio, median of the pairs |')
    print('|---|---|---|')
    print(f'| without guard | {1000 * plain:.1f} | |')
    print(f'| with DivergenceHook | {1000 * guarded:.1f} | {ratio:.4f} |')


def main():
    args = parse_args()
    cfg = cli.read_config(args, CONFIGS)
    if cfg.model.type != 'MRPix2Pix' or cfg.model.mr_loss.type != 'MRLoss':
        raise ValueError(f'{args.config}: give a Pix2Pix config with an MRLoss')
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**cfg.custom_imports)
    import torch
    from mmagic.registry import MODELS
    from mmengine.registry import init_default_scope

    from mmagic_mr.models.base import Batch

    init_default_scope('mmagic')
    name = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    device = torch.device(name)
    if args.guard:
        cfg.model.generator.num_down = min(8, args.size.bit_length() - 1)
        model = MODELS.build(cfg.model).to(device)
        data = training_data(model, args.inputs, args.size)
        print_guard_cost(guard_cost(model, data, args.repeats))
        return
    model = MODELS.build(cfg.model).to(device)
    model.discriminators.requires_grad_(False)
    k = model.num_samples
    shape = (args.inputs, 3, args.size, args.size)
    once = Batch(torch.randn(shape, device=device), torch.randn(shape, device=device))
    repeated = Batch(*(v.repeat_interleave(k, 0) for v in (once.x, once.y)))
    functions = {
        'repeated input': lambda: update(model, repeated, 1),
        'shared work': lambda: update(model, once, k),
    }
    times = seconds(functions, args.repeats, device)
    hardware = (
        torch.cuda.get_device_name(device)
        if device.type == 'cuda'
        else f'CPU, {torch.get_num_threads()} threads'
    )
    print(
        f'\nGenerator update, {args.inputs} inputs of {args.size}x{args.size}, '
        f'K = {k}; {hardware}, torch {torch.__version__}, {time.strftime("%Y-%m-%d")}\n'
    )
    print('| | GFLOP | kept for backward [MiB] | median time [s] |\n|---|---|---|---|')
    for name, function in functions.items():
        flops, saved = count(function)
        print(
            f'| {name} | {flops / 1e9:.0f} | {saved / 2**20:.0f} | {times[name]:.2f} |'
        )


if __name__ == '__main__':
    with cli.short_errors():
        main()
