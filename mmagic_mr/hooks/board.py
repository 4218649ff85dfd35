"""How TensorBoard shows a training: what tells whether it goes well, side by side.

    tensorboard --logdir WORK_DIR

The tab *Custom scalars* has these charts, *Images* the collage. A training logs some
ninety curves, in the order of the alphabet; the names here are those of the log.
"""

from mmengine.dist import master_only
from mmengine.runner import Runner
from mmengine.visualization import TensorboardVisBackend


def _with_interval(name: str) -> list:
    return ['Margin', [name, f'{name}_low', f'{name}_high']]


# Category -> chart -> its curves, by regular expressions
LAYOUT = {
    'The samples of the training': {
        'spread over error: 1 is right, 0 collapsed': [
            'Multiline',
            ['status/spread_skill'],
        ],
        'standard deviation of the samples, of the predictor; error': [
            'Multiline',
            ['sample_std', 'pred_std', 'mean_error'],
        ],
        'gradient of each loss over that of the GAN': ['Multiline', ['balance_.*']],
    },
    'Held-out inputs': {
        'spread over skill: 1 is right': _with_interval('calibration/spread_skill'),
        'the same, in cells of 16x16': _with_interval(
            'calibration/cells16/spread_skill'
        ),
        'in the interval of 90%: 0.9 is right': _with_interval(
            'calibration/coverage90'
        ),
        'CRPS: low is good': ['Multiline', ['calibration/crps']],
    },
    'Losses and speed': {
        'losses': ['Multiline', ['loss_.*']],
        'samples per second': ['Multiline', ['status/samples_per_second']],
    },
}


@master_only
def lay_out(runner: Runner) -> None:
    """Write the layout to each TensorBoard that the visualizer writes to."""
    for backend in runner.visualizer._vis_backends.values():
        if isinstance(backend, TensorboardVisBackend):
            backend.experiment.add_custom_scalars(LAYOUT)
