"""A picture of many samples per validation input, during training."""

from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import set_random_seed

from mmagic_mr.checks import Count, checked
from mmagic_mr.hooks.rng import preserved_rng
from mmagic_mr.host import HOOKS, eval_mode, loaders_of, unwrap
from mmagic_mr.reports.collage import collage, save_picture, spread_inputs


@HOOKS.register_module()
class CollageHook(Hook):
    """Draw validation inputs and their samples every ``interval`` iterations.

    The layout is that of the paper's figures. The picture goes to the visualizer's
    backends (TensorBoard, ...) and to ``<work dir>/vis/collage_<iteration>.png``.
    Inputs and noise are the same each time, so that the pictures can be compared. The
    random state and the mode of every module are afterwards as they were before. In
    distributed training rank 0 alone draws.

    Args:
        interval: iterations between two pictures; the last iteration draws too.
        num_inputs: so many inputs are drawn, spread evenly over the validation set.
        num_samples: samples shown of each.
        input_key: field of the input; None: the model's ``input_field``.
        target_key: field of the ground truth; None: the model's ``target_field``.
        samples_below: the samples in rows below an input's other pictures, as in the
            paper's Figures 7 to 10, and not to the right of them, as in Figure 6.

    Raises:
        UserError: the interval or one of the numbers is below 1.

    Example:
        >>> hook = CollageHook(interval=1000, num_inputs=2)
        >>> hook.interval
        1000
    """

    # After the log of an iteration, before a checkpoint of it.
    priority = 'LOW'

    @checked
    def __init__(
        self,
        interval: Count = 1000,
        num_inputs: Count = 4,
        num_samples: Count = 8,
        input_key: str | None = None,
        target_key: str | None = None,
        samples_below: bool = False,
    ) -> None:
        self.interval = interval
        self.num_inputs, self.num_samples = num_inputs, num_samples
        self.input_key, self.target_key = input_key, target_key
        self.samples_below = samples_below

    @master_only
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(
            runner
        ):
            self.draw(runner)

    def draw(self, runner) -> None:
        """Sample, draw and write one picture."""
        model = unwrap(runner.model)
        with preserved_rng(), eval_mode(model), torch.no_grad():
            # For what a pipeline draws; a model's noise depends on the file's name.
            set_random_seed(0)
            # Fresh inputs each time: a preprocessor may write into what it is given
            inputs = spread_inputs(_loader(runner), self.num_inputs)
            samples = [sample for data in inputs for sample in model.test_step(data)]
        picture = collage(
            {'': samples},
            self.input_key or model.input_field,
            self.target_key or model.target_field,
            self.num_samples,
            samples_below=self.samples_below,
            leave_out=True,
        )
        iteration = runner.iter + 1
        runner.visualizer.add_image('collage', picture, step=iteration)
        save_picture(
            picture, Path(runner.work_dir) / 'vis' / f'collage_{iteration:06d}.png'
        )


def _loader(runner):
    """Of the validation; without one, the training inputs have to do."""
    return (loaders_of(runner.val_loop) or loaders_of(runner.train_loop))[0]
