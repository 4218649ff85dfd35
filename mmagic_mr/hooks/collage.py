"""A picture of many samples per validation input, during training."""

import contextlib
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import set_random_seed

from mmagic_mr.hooks.rng import preserved_rng
from mmagic_mr.host import HOOKS
from mmagic_mr.reports.collage import collage, save_picture


@HOOKS.register_module()
class CollageHook(Hook):
    """Draw the first validation inputs and their samples every ``interval`` iterations.

    The layout is that of the paper's figures. The picture goes to the visualiser's
    backends (TensorBoard, ...) and to ``<work dir>/vis/collage_<iteration>.png``.
    Inputs and noise are the same each time, so that the pictures can be compared, and
    neither the random state nor the mode of any module is other than before. In
    distributed training rank 0 draws alone.

    Args:
        interval: iterations between two pictures; the last iteration draws too.
        num_inputs: the first that many inputs of the validation set are drawn.
        num_samples: samples shown of each.
        input_key: field of the input; None: found by its name.
        target_key: field of the ground truth; None: likewise.
        samples_below: the samples in rows below an input's other pictures, as in the
            paper's Figures 7 to 10, and not to the right of them, as in Figure 6.

    Example:
        >>> hook = CollageHook(interval=1000, num_inputs=2)
        >>> hook.interval
        1000
    """

    # After the log of an iteration, before a checkpoint of it.
    priority = 'LOW'

    def __init__(
        self,
        interval: int = 1000,
        num_inputs: int = 4,
        num_samples: int = 8,
        input_key: str | None = None,
        target_key: str | None = None,
        samples_below: bool = False,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval is {interval}: it counts iterations, 1 or more')
        self.interval = interval
        self.num_inputs, self.num_samples = num_inputs, num_samples
        self.options = dict(
            input_key=input_key, target_key=target_key, samples_below=samples_below
        )

    @master_only
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(
            runner
        ):
            self.draw(runner)

    def draw(self, runner) -> None:
        """Sample, draw and write one picture."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        with preserved_rng(), _eval_mode(model), torch.no_grad():
            # For what a pipeline draws; a model's noise depends on the file's name.
            set_random_seed(0)
            samples = model.test_step(self._inputs(runner))
        picture = collage({'': samples}, self.num_samples, **self.options)
        iteration = runner.iter + 1
        runner.visualizer.add_image('collage', picture, step=iteration)
        save_picture(
            picture, Path(runner.work_dir) / 'vis' / f'collage_{iteration:06d}.png'
        )

    def _inputs(self, runner):
        """The first inputs as a collated batch, each time a fresh one of the same.

        Fresh, since a data preprocessor may write into the batch it is given.
        """
        loader = _validation_loader(runner)
        dataset = loader.dataset
        count = min(self.num_inputs, len(dataset))
        return loader.collate_fn([dataset[index] for index in range(count)])


def _validation_loader(runner):
    """The validation loader; the training one where there is no validation."""
    loop = runner.val_loop
    if loop is None:
        return runner.train_dataloader
    # MMagic's MultiValLoop has a list of loaders, mmengine's ValLoop has one.
    loaders = getattr(loop, 'dataloaders', None)
    return loaders[0] if loaders else loop.dataloader


@contextlib.contextmanager
def _eval_mode(model):
    """Eval mode inside, and each module's own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
