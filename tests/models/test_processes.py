"""What several processes have in common: masks, reductions, the inputs themselves."""

import copy
import re

import mmengine.dist as dist
import pytest
import torch
from helpers import hosts, pix2pix, tiny
from helpers.processes import Scope, compare, run
from mmengine.model import MMSeparateDistributedDataParallel

from mmagic_mr.errors import UserError
from mmagic_mr.functional import over_all_processes
from mmagic_mr.models.batch import Batch

VIEWS = dict(pixel=1.0, pool4=1.0, fft=0.1)
LOSSES = {
    'mr': dict(type='MRLoss', order=1),
    'crps': dict(type='CRPSLoss', views=VIEWS),
    'patches': dict(type='EnergyScoreLoss', patch=4),
    'images': dict(type='EnergyScoreLoss'),
    'variogram': dict(type='VariogramScoreLoss'),
    'components': dict(type='PCAGANLoss', interval=1),
    'seeking': dict(type='ModeSeekingLoss', loss_weight=1e-3),
    'best': dict(type='BestOfKLoss'),
}


def fill(scope: Scope, losses: dict, distribute: str) -> dict:
    """Each loss, and its gradient in all samples, as the mean over the processes.

    The images have different holes; those of the second process's half have none.
    """
    pixels = dict(type='L1Loss')
    model = hosts.build(
        hosts.GLCIC,
        num_samples=4,
        mr_loss=None,
        sample_losses=losses,
        rec_loss=pixels,
        keep=('loss_l1_valid',),
        loss_l1_valid=pixels,
        distribute=distribute,
    )
    rng = torch.Generator().manual_seed(1)
    samples = torch.rand(4, 4, 3, 32, 32, generator=rng, dtype=torch.float64)
    y = torch.rand(4, 3, 32, 32, generator=rng, dtype=torch.float64)
    noise = torch.rand(4, 4, 2, 8, 8, generator=rng, dtype=torch.float64)
    mask = torch.zeros(4, 1, 32, 32, dtype=torch.float64)
    mask[0, :, 2:12, 5:15] = mask[1, :, 4:24, 5:15] = 1
    batch, half = Batch(y, y, mask), slice(2 * scope.rank, 2 * scope.rank + 2)
    dim = 0
    if scope.world_size > 1 and distribute == 'inputs':
        batch, samples, noise = batch.rows(half), samples[half], noise[half]
    elif scope.world_size > 1:
        dim, samples = 1, samples[:, half]
    samples.requires_grad_()
    with over_all_processes():
        terms = model.generator_losses(
            batch, samples, None, dict(site=noise), adversarial=False
        )
        found = model._spread(batch, samples, None)
    for name, term in terms.items():
        (gradient,) = torch.autograd.grad(term, samples, retain_graph=True)
        found[name] = mean(term.detach().clone())
        parts = dist.all_gather(gradient.contiguous())
        found[f'gradient of {name}'] = torch.cat(parts, dim) / scope.world_size
    return found


def mean(value):
    dist.all_reduce(value)
    return value / dist.get_world_size()


@pytest.mark.parametrize('distribute', ['inputs', 'samples'])
def test_a_mask_counts_over_all_processes(tmp_path, distribute):
    compare(tmp_path, fill, LOSSES, distribute, tolerance=1e-9, relative=1e-6)


def reductions(scope: Scope, chunk: int | None, distribute: str) -> list[int]:
    """Elements of the generator's gradient that are reduced, by iteration."""
    network = dict(norm_cfg=dict(type='IN'), base_channels=4, in_channels=3)
    network |= dict(type='UnetGenerator', out_channels=3, num_down=5)
    model = pix2pix.build(
        generator=network, num_samples=4, sample_chunk=chunk, distribute=distribute
    )
    wrappers = pix2pix.optim_wrapper(model, accumulative_counts=2)
    wrapped = MMSeparateDistributedDataParallel(model)
    seen = []

    def hook(state, bucket):
        seen.append(bucket.buffer().numel())
        done = torch.distributed.all_reduce(bucket.buffer(), async_op=True)
        return done.get_future().then(lambda f: f.value()[0] / scope.world_size)

    model.generators.register_comm_hook(None, hook)
    counts = []
    for _ in range(4):
        wrapped.train_step(pix2pix.data(n=1), wrappers)
        counts.append(sum(seen))
        seen.clear()
    size = sum(p.numel() for p in model.generators.parameters())
    return [count / size for count in counts]


@pytest.mark.parametrize('distribute', ['inputs', 'samples'])
@pytest.mark.parametrize('chunk', [None, 1])
def test_gradients_are_reduced_once_in_an_update(tmp_path, chunk, distribute):
    """Of two iterations, whose gradients accumulate, and of all chunks."""
    for counts in run(2, tmp_path, reductions, chunk, distribute):
        assert counts == [0, 1, 0, 1]


def refused(scope: Scope, different: str, k: int) -> str:
    """What a model with shared out samples says."""
    try:
        model = pix2pix.build(num_samples=k, distribute='samples')
        torch.manual_seed(5 + (different == 'seeds') * scope.rank)
        data = pix2pix.data(n=2)
        if different == 'inputs':
            data['inputs'][1]['img_label'][0, 0, scope.rank] += 1
        if different == 'order' and scope.rank:
            data['inputs'].reverse()
        MMSeparateDistributedDataParallel(model).train_step(
            data, pix2pix.optim_wrapper(model)
        )
    except UserError as error:
        return str(error)
    return 'nothing'


@pytest.mark.parametrize(
    ('different', 'k', 'words'),
    [
        ('inputs', 4, "all processes must have the same inputs.*'SameInputsSampler'"),
        ('order', 4, 'all processes must have the same inputs'),
        ('seeds', 4, r'different seeds, \[5, 6\]: set randomness=dict'),
        (
            'no',
            5,
            r'num_samples=5 \(K\) is no multiple of the 2 processes: take 4 or 6',
        ),
        ('no', 1, r'num_samples=1 \(K\) .* 2 processes: take 2 or 4'),
        ('no', 4, 'nothing'),
    ],
)
def test_what_cannot_be_shared_out_is_refused(tmp_path, different, k, words):
    for message in run(2, tmp_path, refused, different, k):
        assert re.search(words, message), message


def test_one_process_has_all_samples():
    model = hosts.build(hosts.EDIT, num_samples=3, distribute='samples')
    plain = hosts.build(hosts.EDIT, num_samples=3)
    for each in model, plain:
        torch.manual_seed(5)
        each.train_step(copy.deepcopy(hosts.sr_data()), hosts.optim_wrapper(each))
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def trained(scope: Scope, data_root, work_dir, change: str) -> str:
    """What a run of two iterations says, with random flips."""
    from mmengine.runner import Runner

    from mmagic_mr.training import share_out_samples

    loader = 'train_dataloader'
    cfg = tiny.load('pix2pix_mr2_cityscapes', data_root, work_dir)
    cfg.merge_from_dict({f'{loader}.num_workers': 1, f'{loader}.batch_size': 2})
    share_out_samples(cfg)
    if change == 'seeds':
        cfg.train_dataloader.pop('worker_init_fn')
    flip = dict(type='Flip', keys=pix2pix.KEYS, flip_ratio=0.5, direction='vertical')
    cfg.train_dataloader.dataset.pipeline.insert(1, flip)
    cfg.launcher, cfg.env_cfg.dist_cfg.backend = 'pytorch', 'gloo'
    cfg.model_wrapper_cfg.device_ids = None
    runner = Runner.from_cfg(cfg)
    try:
        runner.train()
    except UserError as error:
        return str(error)
    return f'{runner.iter} iterations of {len(runner.train_dataloader)}'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ('nothing', '2 iterations of 2'),
        ('seeds', 'must have the same inputs'),
    ],
)
def test_a_run_with_random_flips(tmp_path, change, words):
    data_root = tiny.write_pairs(tmp_path / 'data', train=4)
    for said in run(2, tmp_path, trained, data_root, tmp_path / 'work', change):
        assert words in said
