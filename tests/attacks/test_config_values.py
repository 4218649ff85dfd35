"""A slip in a config: one UserError that names the key, or a value that serves."""

import inspect
import math
from fractions import Fraction
from functools import partial

import pytest
from helpers import pix2pix, tiny
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.host import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

ODD = [
    'much',
    '',
    None,
    True,
    1.5,
    -1,
    0,
    10**30,
    math.nan,
    math.inf,
    [1],
    [],
    {},
    {'a': 1},
    Fraction(1, 2),
    (1, 'b', None),
]
UNET = pix2pix.config()['generator']
# What a class cannot be built without.
NEEDED = {
    'PredictorPretrainHook': dict(max_iters=4, val_interval=2),
    'SpreadControlHook': dict(loss='mr'),
    'MRPairedImageDataset': dict(pipeline=[], lazy_init=True),
    'MRImageDataset': dict(data_prefix=dict(gt='train/gt'), lazy_init=True),
    'StrictCrop': dict(keys=['gt'], crop_size=(8, 8)),
    'MRFolderDataset': dict(data_root='somewhere', pipeline=[], lazy_init=True),
    'Shrink': dict(keys=['gt'], short_side=8),
    'ToSquare': dict(keys=['gt'], size=8),
    'MomentPredictor': dict(generator=UNET),
}
REGISTRIES = dict(
    hook=HOOKS, dataset=DATASETS, transform=TRANSFORMS, metric=METRICS, model=MODELS
)


def ours():
    """Kind and class of all with a constructor of ours, the hosts apart."""
    for kind, registry in REGISTRIES.items():
        for name, cls in registry.module_dict.items():
            constructor = inspect.unwrap(cls.__init__)
            own = getattr(constructor, '__module__', '').startswith('mmagic_mr.')
            if own and not hasattr(cls, 'mmagic_class'):
                yield pytest.param(kind, cls, id=name)


def arguments(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return [p.name for p in parameters if p.name not in ('self', 'args', 'kwargs')]


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    return tiny.write_pairs(tmp_path_factory.mktemp('pairs') / 'data')


def refused_by_name(build, name, value):
    """Whether it is refused; an error that does not say the name fails."""
    try:
        build()
    except UserError as error:
        said = str(error)
        assert name in said.lower(), f'{name}={value!r}: {said}'
        assert '\n' not in said, said
        return True
    except Exception as error:
        pytest.fail(f'{name}={value!r}: {type(error).__name__}: {error}')
    return False


@pytest.mark.parametrize(('kind', 'cls'), ours())
def test_an_odd_value_serves_or_is_refused_by_name(kind, cls, pairs):
    init_default_scope('mmagic')
    needed = dict(NEEDED.get(cls.__name__, {}))
    if kind == 'dataset':
        needed |= dict(data_root=str(pairs))

    def build(**kwargs):
        return REGISTRIES[kind].build({'type': cls.__name__, **needed, **kwargs})

    build()
    for name in arguments(cls):
        odd = [v for v in ODD if refused_by_name(partial(build, **{name: v}), name, v)]
        assert len(odd) >= 5, f'{name} takes nearly anything'
    assert refused_by_name(partial(build, intervall=3), 'intervall', 3)


HOST_ARGUMENTS = (
    'noise',
    'num_samples',
    'eval_num_samples',
    'gen_batch_size',
    'gen_updates_per_disc',
    'sample_losses',
    'mr_loss',
    'keep',
    'rec_loss',
    'predictor',
    'input_norm',
    'share_work',
    'sample_chunk',
    'distribute',
    'recompute',
    'whiten',
    'gan_loss',
    'loss_config',
)


@pytest.mark.parametrize('name', HOST_ARGUMENTS)
def test_an_odd_value_of_a_host_serves_or_is_refused_by_name(name):
    init_default_scope('mmagic')
    config = pix2pix.config(num_down=5, gan_loss=dict(type='GANLoss', gan_type='hinge'))
    if name == 'sample_losses':
        del config['mr_loss']
    for value in ODD:
        said = 'input_norm' if name == 'whiten' and isinstance(value, dict) else name
        refused_by_name(partial(MODELS.build, {**config, name: value}), said, value)


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (dict(mr_loss=dict(type='MRLos')), "'MRLos'.*did you mean.*MRLoss"),
        (dict(mr_loss=dict(type='MRLoss', oder=1)), "'oder'.*did you mean order"),
        (dict(rec_loss=dict(type='L1Los')), "'L1Los'.*did you mean.*L1Loss"),
        (dict(mr_loss=dict(type='MRLoss', loss_weight='10')), "loss_weight.*'10'"),
        (dict(gan_loss=dict(loss_weight=math.nan)), 'gan_loss.*loss_weight.*nan'),
        (dict(gan_loss=dict(loss_weight=-1)), 'gan_loss.*loss_weight.*-1'),
        (dict(loss_config=dict(pixel_loss_weight=math.inf)), 'pixel_loss_weight.*inf'),
        (dict(loss_config=dict(pixel_loss_weight='1')), "pixel_loss_weight.*'1'"),
        (dict(rec_loss=dict(type='L1Loss', loss_weight=math.nan)), 'rec_loss.*nan'),
        (dict(discriminator_steps=0), 'discriminator_steps.*0'),
        (dict(disc_init_steps=-1), 'disc_init_steps.*-1'),
        (dict(input_norm=dict(mean=(0.5,) * 2, std=(0.5,) * 3)), 'mean.*a list of 3'),
        (dict(input_norm=dict(mean=(0.5,) * 3, sdt=(0.5,) * 3)), "'sdt'"),
        (dict(input_norm=dict(mean='abc', std=(0.5,) * 3)), "mean.*'abc'"),
        (dict(mr_loss=dict(type='L1Loss')), 'L1Loss.*judges no samples'),
        (dict(noise=dict(sites={})), 'sites'),
        (dict(noise=dict(sites={'a': 3}, typ='uniform')), "'typ'.*type"),
    ],
)
def test_a_slip_in_a_host(given, said):
    init_default_scope('mmagic')
    with pytest.raises(UserError, match=said):
        MODELS.build(pix2pix.config(num_down=5, **given))
