"""CollageHook and SampleCollapseHook in a real Runner with a tiny model."""

import logging
import random

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from PIL import Image

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.hooks.collage import CollageHook
from mmagic_mr.hooks.collapse import SampleCollapseHook


class Pictures(torch.utils.data.Dataset):
    """Ten pictures of one gray each, 20, 40, ...; reading one draws a random number."""

    METAINFO = metainfo = {}

    def __len__(self):
        return 10

    def __getitem__(self, index):
        np.random.rand(), random.random()  # noqa: NPY002
        return torch.full((3, 8, 8), 20.0 * (index + 1))


class Samples(BaseModel):
    """Draws samples of its input plus noise, as the models of this package do."""

    input_field, target_field = 'img_label', 'img_photo'

    def __init__(self, spread=(1.0,)):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.norm = torch.nn.BatchNorm2d(3)
        self.frozen = torch.nn.BatchNorm2d(3).eval()
        self.spread, self.calls = list(spread), []

    def train(self, mode=True):
        super().train(mode)
        self.frozen.eval()
        return self

    def train_step(self, data, optim_wrapper):
        x = torch.stack(list(data)) / 255
        optim_wrapper.update_params(
            (self.weight * self.norm(x)).mean() + torch.rand(()) * self.weight
        )
        spread = self.spread[min(len(self.calls), len(self.spread) - 1)]
        self.calls.append('train')
        if isinstance(spread, dict):
            return {name: torch.tensor(value) for name, value in spread.items()}
        return {'sample_std': torch.tensor(spread)}

    def test_step(self, data):
        assert not self.training
        assert not torch.is_grad_enabled()
        out = []
        for x in data:
            samples = x + 10 * torch.randn(3, *x.shape)
            out.append(
                BaseDataElement(
                    img_label=x,
                    img_photo=x,
                    img_edges=220 - x,
                    fake_photo=samples[0],
                    samples=samples,
                    sample_mean=samples.mean(0),
                    sample_var=samples.var(0),
                )
            )
        return out

    def val_step(self, data):
        return [BaseDataElement() for _ in data]

    def forward(self, *args, **kwargs):
        raise NotImplementedError


def run(tmp_path, hooks, iters=4, visualizer=None, model=None, val=True):
    for registry, module in ((MODELS, Samples), (DATASETS, Pictures)):
        registry.register_module(module=module, force=True)
    loader = dict(
        dataset=dict(type='Pictures'),
        batch_size=2,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True),
    )
    val_loader = dict(loader, sampler=dict(type='DefaultSampler', shuffle=False))
    evaluation = (
        dict(
            val_dataloader=val_loader,
            val_cfg=dict(),
            val_evaluator=dict(
                type='mmengine.DumpResults', out_file_path=str(tmp_path / 'results.pkl')
            ),
        )
        if val
        else {}
    )
    runner = Runner(
        model=model or Samples(),
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=False, max_iters=iters, val_interval=10**6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        visualizer=visualizer,
        custom_hooks=hooks,
        experiment_name=str(tmp_path),
        default_hooks=dict(checkpoint=None),
        default_scope='mmengine',
        randomness=dict(seed=3),
        **evaluation,
    )
    runner.train()
    return runner


def test_collages_are_written_at_the_interval_and_at_the_end(tmp_path):
    run(tmp_path, [CollageHook(interval=2, num_inputs=3)], iters=5)
    names = sorted(p.name for p in (tmp_path / 'vis').iterdir())
    assert names == [f'collage_{i:06d}.png' for i in (2, 4, 5)]
    first, second, third = (np.asarray(Image.open(tmp_path / 'vis' / n)) for n in names)
    # The model does not use its weights: same inputs, same noise, same picture.
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    grays = {tuple(c) for c in first.reshape(-1, 3)}
    assert {(20,) * 3, (80,) * 3, (140,) * 3} <= grays  # numbers 0, 3 and 6 of ten


@pytest.mark.parametrize(
    ('fields', 'options', 'shown'),
    [
        (('img_label', 'img_photo'), {}, (20, 20)),
        (('img_edges', 'img_photo'), {}, (200, 20)),
        (('img_photo', 'img_edges'), {}, (20, 200)),
        (('img_label', 'img_photo'), dict(input_key='img_edges'), (200, 20)),
        (('img_label', 'img_photo'), dict(target_key='img_edges'), (20, 200)),
    ],
)
def test_input_and_target_are_the_fields_that_the_model_names(
    tmp_path, fields, options, shown
):
    model = Samples()
    model.input_field, model.target_field = fields
    hook = CollageHook(interval=1, num_inputs=1, num_samples=1, **options)
    run(tmp_path, [hook], iters=1, model=model)
    picture = np.asarray(Image.open(tmp_path / 'vis' / 'collage_000001.png'))
    cells = [picture[70, 4 + 48], picture[70, 4 + 96 + 4 + 48]]  # their middles
    assert [cell.tolist() for cell in cells] == [[gray] * 3 for gray in shown]


def test_samples_stand_below_on_demand(tmp_path):
    options = dict(interval=5, num_inputs=2, num_samples=3, samples_below=True)
    run(tmp_path, [CollageHook(**options)], iters=5)
    width, height = Image.open(tmp_path / 'vis' / 'collage_000005.png').size
    assert width == 4 + 6 * (96 + 4)
    assert height > 4 * (96 + 4)  # two inputs, two rows each


def test_drawing_disturbs_neither_training_nor_modes(tmp_path):
    plain = run(tmp_path / 'plain', []).model
    states = torch.get_rng_state(), np.random.rand(), random.random()  # noqa: NPY002
    seed = torch.initial_seed()  # the models derive each step's noise from it
    drawn = run(tmp_path / 'drawn', [CollageHook(interval=1)]).model
    for name, value in plain.state_dict().items():
        assert torch.equal(value, drawn.state_dict()[name]), name
    assert torch.initial_seed() == seed == 3
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (np.random.rand(), random.random())  # noqa: NPY002


def test_each_module_returns_to_its_mode_even_if_drawing_fails(tmp_path):
    runner = run(tmp_path, [], iters=1)
    model = runner.model.train()
    CollageHook().draw(runner)
    assert [model.training, model.norm.training, model.frozen.training] == [
        True,
        True,
        False,
    ]
    model.test_step = lambda data: [dict(fake_photo=data[0])]
    with pytest.raises(ValueError, match="no 'samples'"):
        CollageHook().draw(runner)
    assert [model.training, model.norm.training, model.frozen.training] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    'visualizer',
    [
        dict(type='mmagic.Visualizer'),
        dict(type='mmagic.ConcatImageVisualizer', fn_key='x', img_keys=['y']),
        dict(type='Visualizer'),
    ],
)
def test_every_visualizer_hands_the_picture_to_its_backends(tmp_path, visualizer):
    backends = [dict(type='mmagic.VisBackend'), dict(type='TensorboardVisBackend')]
    runner = run(
        tmp_path,
        [CollageHook(interval=2)],
        iters=2,
        visualizer=dict(visualizer, name='v', vis_backends=backends),
    )
    assert isinstance(runner.visualizer, Visualizer)
    vis_data = next(tmp_path.rglob('vis_data'))
    written = np.asarray(Image.open(next(vis_data.rglob('collage_2.png'))))
    np.testing.assert_array_equal(
        written, np.asarray(Image.open(tmp_path / 'vis' / 'collage_000002.png'))
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(vis_data.rglob('events*'))))
    events.Reload()
    assert [e.step for e in events.Images('collage')] == [2]


def test_without_validation_the_training_inputs_are_drawn(tmp_path):
    run(tmp_path, [CollageHook(interval=1)], iters=1, val=False)
    assert (tmp_path / 'vis' / 'collage_000001.png').is_file()


@pytest.mark.parametrize('name', ['interval', 'num_inputs', 'num_samples'])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(UserError, match=f'{name} must be .* at least 1, got 0'):
        CollageHook(**{name: 0})


@pytest.fixture
def warnings_of(tmp_path):
    """Runs a model that logs the given spreads; the collapse warnings it led to."""

    def collect(spread, iters=12, **kwargs):
        lines = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(record.getMessage())

        class Listen(SampleCollapseHook):
            def before_train(self, runner):
                MMLogger.get_current_instance().addHandler(handler)

        hook = Listen(window=4, **kwargs)
        run(tmp_path, [hook], iters=iters, model=Samples(spread))
        return [line for line in lines if line.startswith('The samples collapse')]

    return collect


def test_collapse_warns_once_a_window(warnings_of):
    lines = warnings_of([dict(sample_std=0.1, pred_std=0.5)])
    assert len(lines) == 2  # three windows, the first not judged
    assert 'the last 4 iterations (up to iteration 8)' in lines[0]
    assert '(up to iteration 12)' in lines[1]
    assert '4.00% of the variance that the predictor expects' in lines[0]
    assert 'raise the loss_weight' in lines[0]


def test_the_threshold_is_on_variances(warnings_of):
    # (0.15 / 0.5)^2 = 0.09 and (0.17 / 0.5)^2 = 0.1156 lie on the two sides of 0.1.
    assert warnings_of([dict(sample_std=0.15, pred_std=0.5)])
    assert not warnings_of([dict(sample_std=0.17, pred_std=0.5)])


def test_a_window_averages(warnings_of):
    low, high = (dict(sample_std=s, pred_std=1.0) for s in (0.01, 0.9))
    assert not warnings_of([low] * 4 + [low, low, low, high] * 2)
    assert len(warnings_of([low] * 4 + [low] * 4 + [high] * 4)) == 1


def test_without_a_predictor_the_error_of_the_mean_is_the_measure(warnings_of):
    lines = warnings_of([dict(sample_std=0.05, mean_error=0.5)])
    assert len(lines) == 2
    assert '1.00% of the squared error of their mean' in lines[0]
    assert not warnings_of([dict(sample_std=0.4, mean_error=0.5)])
    # Slowly growing from nothing, as noise weights that learn too slowly
    rising = [dict(sample_std=0.001 * i, mean_error=0.5) for i in range(12)]
    assert len(warnings_of(rising)) == 2
    assert 'ten times the learning rate' in warnings_of(rising)[0]


def test_steps_without_samples_are_left_out(warnings_of):
    assert not warnings_of([dict(other=1.0)])
    few = dict(sample_std=0.05, mean_error=0.5)
    assert len(warnings_of([few, dict(other=1.0)] * 6)) == 2


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match=r'window must be .* got 0'):
        SampleCollapseHook(window=0)
    with pytest.raises(UserError, match=r'threshold must be .* got 1\.5'):
        SampleCollapseHook(threshold=1.5)
