"""One line for people beside the numbers of the log: is it going well, how long yet?"""

import math
from collections.abc import Mapping

from mmengine.dist import get_world_size
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner

from mmagic_mr.checks import Count, checked
from mmagic_mr.hooks.board import lay_out
from mmagic_mr.host import HOOKS, unwrap

SPREAD = 'status/spread_skill'  # names in TensorBoard
SPEED = 'status/samples_per_second'
TINY = 1e-12


@HOOKS.register_module()
class StatusHook(Hook):
    """Say in one line what a person wants to know of a training, whenever it is logged.

        spread 0.97 of the error; crps : GAN = 1 : 1.1; 295 samples/s; 12 min left

    The spread is the ratio sqrt(1 + 1/K) std / error: of the samples' standard
    deviation, and the distance of their mean from the data, both root mean squares over
    the inputs of the training since the last line. It is 1 where the samples vary as
    much as the data do around the mean of the samples, 0 where they have collapsed, and
    means little in the first iterations. Where there is a predictor, the spread that it
    expects is named too. For held-out inputs, see the validation (`MomentCalibration`).

    The ratio of gradients, of each loss over the GAN, is ``balance_<name>`` of the log;
    samples are those of the generator's updates, of all processes. Spread and speed go
    to the visualizer's backends (TensorBoard, ...). TensorBoard gets a layout of what
    to look at (`mmagic_mr.hooks.board`).

    Args:
        interval: Iterations from one line to the next; None: that of the log.

    Raises:
        UserError: On an interval below 1.

    Reference:
        Fortin et al., J. Hydrometeorology 2014 (the ratio).

    Example:
        >>> StatusHook(interval=50).interval
        50
    """

    priority = 'LOW'  # after the log, which is BELOW_NORMAL

    @checked
    def __init__(self, interval: Count | None = None) -> None:
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        if self.interval is None:
            loggers = [h for h in runner.hooks if isinstance(h, LoggerHook)]
            self.interval = loggers[0].interval if loggers else 50
        lay_out(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.every_n_train_iters(runner, self.interval):
            return
        hub = runner.message_hub
        numbers = {
            name.removeprefix('train/'): float(history.mean(self.interval))
            for name, history in hub.log_scalars.items()
            if name.startswith('train/')
        }
        numbers |= self._rates(runner, numbers)
        text = status_line(numbers)
        if not text:
            return
        runner.logger.info(text)
        for name in SPREAD, SPEED:
            if name in numbers:
                runner.visualizer.add_scalar(name, numbers[name], step=runner.iter + 1)

    def _rates(self, runner: Runner, numbers: Mapping[str, float]) -> dict[str, float]:
        """What is not in the log, but follows from it."""
        model, found = unwrap(runner.model), {}
        num_samples = getattr(model, 'num_samples', 1)
        if 'mean_error' in numbers:
            std = numbers['sample_std'] * math.sqrt(1 + 1 / num_samples)
            found[SPREAD] = std / max(numbers['mean_error'], TINY)
        if numbers.get('time'):
            inputs = getattr(model, 'gen_batch_size', None)
            inputs = inputs or runner.train_dataloader.batch_size
            # Or else the processes share the samples of the same inputs out
            shared = getattr(model, 'distribute', 'inputs') == 'samples'
            processes = 1 if shared else get_world_size()
            found[SPEED] = inputs * num_samples * processes / numbers['time']
            found['left'] = numbers['time'] * (runner.max_iters - runner.iter - 1)
        return found


def status_line(numbers: Mapping[str, float]) -> str:
    """The line, of what is there.

    Args:
        numbers: By their names in the log; ``left`` in seconds.

    Example:
        >>> status_line({SPREAD: 0.97, 'balance_crps': 0.9, SPEED: 295.4, 'left': 741})
        'spread 0.97 of the error; crps : GAN = 1 : 1.1; 295 samples/s; 12 min left'
        >>> status_line({'loss': 1.0})
        ''
    """
    parts = []
    if SPREAD in numbers:
        parts.append(f'spread {numbers[SPREAD]:.2f} of the error')
    if 'pred_std' in numbers and 'sample_std' in numbers:
        share = numbers['sample_std'] / max(numbers['pred_std'], TINY)
        parts.append(f'{share:.2f} of what the predictor expects')
    for name, ratio in numbers.items():
        if name.startswith('balance_') and ratio > 0:
            sides = f'{ratio:.1f} : 1' if ratio > 0.95 else f'1 : {1 / ratio:.1f}'
            parts.append(f'{name.removeprefix("balance_")} : GAN = {sides}')
    if not parts:
        return ''
    if SPEED in numbers:
        digits = 0 if numbers[SPEED] >= 10 else 1
        parts.append(f'{numbers[SPEED]:.{digits}f} samples/s')
    if 'left' in numbers:
        parts.append(f'{duration(numbers["left"])} left')
    return '; '.join(parts)


def duration(seconds: float) -> str:
    """In the unit that a person would take.

    Example:
        >>> duration(29.6), duration(741), duration(20000), duration(400000)
        ('30 s', '12 min', '5 h 33 min', '4 d 15 h')
    """
    if seconds < 90:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 120:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f'{hours} h {minutes} min'
    days, hours = divmod(hours, 24)
    return f'{days} d {hours} h'
