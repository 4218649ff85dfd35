"""What a person sees of a training: what runs and where, and not what the log keeps.

mmengine prints the machine, the whole config and the order of all hooks, some 600
lines, before anything happens. They stay in the log file; the terminal gets a summary.
"""

import logging
import re
import warnings
from pathlib import Path

import mmengine.dist as dist
from mmengine.runner import Runner
from torch import nn

from mmagic_mr.checkpoints.latest import NOTE, find_latest
from mmagic_mr.host import unwrap

# Beginnings of messages that the log file has, and the terminal has not
DUMPS = (
    '\n' + '-' * 60 + '\nSystem environment:',
    'Config:\n',
    'Hooks will be executed in the following order:',
    'Distributed training is not used, all SyncBatchNorm',
    "Add to optimizer '",
    'Exp name: ',
    'The prefix is not set in metric class ',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Auto resumed from the latest checkpoint None',
)
# What stands beside a number in a line of results: '  crps_low: 0.1'
BOUND = re.compile(
    r' +\S+_(low|high|exact|floor|ceiling|tolerance|ddof|verdict|region|spread|rmse'
    r'|std_over_subsets): [^ ]+'
)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether the terminal gets a message."""
    return not record.getMessage().startswith(DUMPS)


class ShortResults(logging.Formatter):
    """Another formatter, without the bounds of each number in a line of results."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        text = self.formatter.format(record)
        is_result = record.getMessage().startswith(('Iter(val)', 'Iter(test)'))
        return BOUND.sub('', text) if is_result else text


# PyTorch's, of a schedule whose optimizer has not stepped yet. Here schedules count the
# iterations, whoever is updated in them: a discriminator that waits for the generator,
# or is none of the losses, misses nothing.
WAITING = r'Detected call of `scheduler\.step\(\)` before `optimizer\.step\(\)`'


class QuietRunner(Runner):
    """mmengine's, whose long dumps go to the log file alone."""

    def train(self):
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', WAITING, UserWarning)
            return super().train()

    @staticmethod
    def build_dataloader(*args, **kwargs):
        # Of a machine with few cores, once for each loader, with nothing to be done
        warnings.filterwarnings('ignore', 'This DataLoader will create ')
        return Runner.build_dataloader(*args, **kwargs)

    def build_logger(self, *args, **kwargs):
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_worth_a_line)
                handler.setFormatter(ShortResults(handler.formatter))
        return logger


def summary(runner: Runner) -> str:
    """What is trained, by what, on what and where: a few lines for the start of a log.

    Builds the data loader, as the training does next.
    """
    model, loop = unwrap(runner.model), runner.train_loop
    data = loop.dataloader.dataset
    ranks = f'{dist.get_world_size()} x ' if dist.is_distributed() else ''
    device = next(model.parameters()).device
    lines = {
        'model': f'{type(model).__name__} with {", ".join(_networks(model))}',
        'losses': ', '.join(_losses(model)),
        'data': f'{len(data)} of {getattr(data, "data_root", type(data).__name__)}',
        'update': f'{ranks}{_batch(model, loop.dataloader.batch_size)} on {device}',
        'length': f'{loop.max_iters} iterations',
        'files': f'{runner.work_dir}: checkpoints, pictures, and a log with the config',
    }
    shown = (f'{name:>8}: {text}' for name, text in lines.items() if text)
    return '\n'.join(['training', *shown])


def farewell(runner: Runner) -> str:
    """Where everything is, and what to type next.

    The commands name the config in the folder of the run, which has the options of the
    training in it.

    Args:
        runner: That has trained.
    """
    lines = [f'checkpoints and logs: {runner.work_dir}']
    checkpoint = find_latest(runner.work_dir)
    config = Path(runner.work_dir, Path(runner.cfg.filename or '').name)
    if checkpoint is not None and config.is_file():
        lines += [
            'next:',
            f'  python tools/test.py {config} {checkpoint}',
            f'  python tools/sample.py {config} {checkpoint} IMAGE',
        ]
    return '\n'.join(lines)


def interrupted(runner: Runner) -> str:
    """What Ctrl-C leaves of a training, and how it goes on.

    Args:
        runner: That was stopped.
    """
    done = f'stopped after {runner.iter} of {runner.max_iters} iterations'
    predictor = Path(runner.work_dir, 'predictor', 'last.pth')
    if Path(runner.work_dir, NOTE).is_file():
        checkpoint = find_latest(runner.work_dir)
    elif predictor.is_file():
        checkpoint = predictor
    else:
        return (
            f'{done}, before the first checkpoint: nothing is kept. '
            'default_hooks.checkpoint.interval says how often there is one'
        )
    return f'{done}: the same command with --resume goes on from {checkpoint}'


def _networks(model: nn.Module) -> list[str]:
    """Those with parameters of their own, 'generator UnetGenerator (1.3 M)'."""
    found = []
    for name, child in model.named_children():
        count = sum(p.numel() for p in child.parameters())
        if count and 'loss' not in name:
            inner = child.children() if isinstance(child, nn.ModuleDict) else [child]
            kinds = '+'.join(type(unwrap(network)).__name__ for network in inner)
            found.append(f'{name} {kinds} ({count / 1e6:.1f} M)')
    return found


def _batch(model: nn.Module, inputs: int) -> str:
    """Inputs of an iteration, and samples of the generator's update."""
    if not hasattr(model, 'num_samples'):
        return f'{inputs} inputs'
    per_update = f'{model.gen_batch_size or inputs} x {model.num_samples}'
    return f"{inputs} inputs, {per_update} samples in the generator's"


def _losses(model: nn.Module) -> list[str]:
    """Of the samples, 'crps CRPSLoss (auto)'."""
    losses = getattr(model, 'sample_losses', None)
    if losses is None:
        return []
    return [
        f'{name} {type(loss).__name__} ({loss.loss_weight})'
        for name, loss in unwrap(losses).items()
    ]
