"""The configs on letters: what they share, and a short run of each from end to end."""

import pytest
from helpers import configs, tiny
from helpers.letters import write_letters

NAMES = sorted(path.stem for path in tiny.CONFIGS.glob('*_fonts.py'))
ROOTS = dict(pix2pix='letters://{}/pairs', srgan='letters://{}', glcic='letters://{}')
LOSSES = {
    'noise': None,
    'gan': None,
    'mr2': 'MRLoss',
    'proxy_mr2': 'ProxyMRLoss',
    'recommended': 'CRPSLoss',
}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_letters(tmp_path_factory.mktemp('fonts'))


def test_there_is_one_for_each_loss_and_task():
    expected = {f'{host}_{loss}_fonts' for host in ROOTS for loss in LOSSES}
    assert set(NAMES) == expected - {'srgan_gan_fonts', 'glcic_gan_fonts'}


@pytest.mark.parametrize('name', NAMES)
def test_settings(name):
    cfg = configs.read(name)
    host, loss = name.removesuffix('_fonts').split('_', 1)
    model = cfg.model
    losses = {**model.get('sample_losses', {}), 'mr': model.get('mr_loss')}
    types = {one['type'] for one in losses.values() if one}
    assert types == ({LOSSES[loss]} if LOSSES[loss] else set())
    assert model.num_samples == dict(noise=1, gan=1, recommended=6).get(loss, 8)
    assert model.eval_num_samples == 20
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert ('PredictorPretrainHook' in hooks) == ('proxy' in loss)
    # The rate falls at the end, whatever the number of iterations is
    assert all(
        step.end == cfg.train_cfg.max_iters
        for steps in cfg.param_scheduler.values()
        for step in steps
    )
    if host != 'srgan':
        assert cfg.truth.startswith('mmagic_mr.data.letters.known:')


def load(name, root, work_dir):
    """For two iterations, on three inputs of validation."""
    host = name.split('_')[0]
    cfg = tiny.load(name, ROOTS[host].format(root), work_dir, size=64)
    for split in 'val', 'test':
        cfg[f'{split}_dataloader'].dataset.indices = 3
    cfg.model.eval_num_samples = 3
    if cfg.model.num_samples > 1:
        cfg.model.num_samples = 4  # the least of what is fair
    if host == 'srgan':
        cfg.model.discriminator = dict(cfg.model.discriminator, base_channels=4)
        del cfg.model.discriminator['mid_channels']
    return cfg


@pytest.mark.parametrize(
    'name',
    [f'{host}_{loss}_fonts' for host in ROOTS for loss in ('recommended', 'proxy_mr2')],
)
def test_trains_validates_and_saves(name, root, tmp_path):
    from mmengine.runner import Runner

    cfg = load(name, root, tmp_path)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert (tmp_path / 'iter_2.pth').is_file()
    found = {key: log.current() for key, log in runner.message_hub.log_scalars.items()}
    host = name.split('_')[0]
    assert (
        found[f'val/{"calibration/spread_skill" if host == "pix2pix" else "PSNR"}'] > 0
    )
    if host == 'glcic':
        (loader,) = runner.val_loop.dataloaders
        (output, *_) = runner.model.val_step(next(iter(loader)))
        known = output.samples[..., :32] - output.gt_img[..., :32]
        assert known.abs().max() < 1e-3
        assert output.mask[..., 32:].all()


def test_the_test_tool_has_the_numbers_of_letters(root, tmp_path):
    from mmengine.runner import Runner

    from mmagic_mr.metrics.base import EvaluationOptions
    from mmagic_mr.reports.run import add_metrics, collect

    cfg = load('pix2pix_noise_fonts', root, tmp_path)
    add_metrics(cfg, EvaluationOptions(stand_in=True, protocols=('all-pairs',)))
    cfg.test_evaluator.metrics = [
        metric
        for metric in cfg.test_evaluator.metrics
        if metric['type'] in ('AnswerDistance', 'StyleConsistency')
    ]
    cfg.test_evaluator.metrics[-1].many = 5
    runner = Runner.from_cfg(cfg)
    runner.test()
    found = {f'{one.group}/{one.key}': one for one in collect(runner.test_loop)}
    assert set(found) == {
        'answers/energy',
        'answers/mmd',
        'style/pixel',
        'style/distance',
        'style/reached',
    }
    assert found['style/reached'].samples == 5
    assert 1 <= found['style/reached'].value <= 5
    assert found['answers/energy'].protocol.startswith('all 5 real answers')
    assert found['answers/energy'].inputs == 3
