"""What every sample loss promises to whatever trains with it."""

import inspect
import subprocess
import sys

import pytest
import torch

from mmagic_mr import losses
from mmagic_mr.errors import UserError
from mmagic_mr.functional import DISTRIBUTIONS, Moments
from mmagic_mr.losses import SampleLoss

CLASSES = [
    loss
    for loss in vars(losses).values()
    if inspect.isclass(loss) and issubclass(loss, SampleLoss) and loss is not SampleLoss
]
every_loss = pytest.mark.parametrize('cls', CLASSES)


def batch(num_samples, dtype=torch.float32):
    """Samples, what losses may need, and a mask of a hole with a border."""
    target = torch.randn(2, 3, 8, 8).to(dtype)
    # Far apart, but for two of the samples
    noise = dict(map=torch.randn(2, num_samples, 1, 2, 2), vector=None)
    noise['vector'] = 20 * torch.randn(2, num_samples, 2, 1, 1)
    noise['vector'][:, 0] = noise['vector'][:, -1]
    noise = {site: z.to(dtype) for site, z in noise.items()}
    needed = dict(
        target=target, moments=Moments(target, target.square() + 0.1), noise=noise
    )
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 1:6, 2:7] = 1
    return torch.randn(2, num_samples, 3, 8, 8).to(dtype), needed, mask


def call(loss, samples, needed, mask=None):
    return loss(samples, *(needed[name] for name in loss.needs), mask=mask)


def test_they_are_all_here():
    names = {cls.__name__ for cls in CLASSES}
    assert names | {'SampleLoss', 'MomentNLLLoss'} == set(losses.__all__)
    assert {'MRLoss', 'ProxyMRLoss', 'CRPSLoss', 'EnergyScoreLoss'} <= names


@every_loss
def test_it_says_what_it_needs(cls):
    loss = cls()
    assert isinstance(loss.min_samples, int)
    assert loss.min_samples >= 1
    assert isinstance(loss.every, int)
    assert loss.every >= 1
    assert set(loss.needs) <= {'target', 'moments', 'noise'}
    assert loss.distribution in {None, *DISTRIBUTIONS}
    assert loss.distribution or 'moments' not in loss.needs


@every_loss
def test_fewer_samples_than_it_says_are_refused(cls):
    loss = cls()
    samples, needed, _ = batch(loss.min_samples)
    assert call(loss, samples, needed).isfinite()
    name, least = cls.__name__, loss.min_samples
    message = rf'{name} needs at least K = {least} .*got K = {least - 1}\.'
    with pytest.raises(UserError, match=message):
        call(loss, samples[:, 1:], needed)


@every_loss
def test_half_precision_under_autocast_is_finite(cls):
    for dtype in (torch.float16, torch.bfloat16):
        samples, needed, mask = batch(4, dtype)
        samples.requires_grad_()
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = call(cls(), samples, needed, mask)
        loss.backward()
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert samples.grad.isfinite().all()
        assert samples.grad.any()


@every_loss
def test_nothing_outside_the_mask_matters(cls):
    samples, needed, mask = batch(4)
    other, others, _ = batch(4)
    inside = mask > 0
    target = torch.where(inside, needed['target'], others['target'])
    dispersion = torch.where(
        inside, needed['moments'].dispersion, others['moments'].dispersion
    )
    changed = needed | dict(target=target, moments=Moments(target, dispersion))
    loss = call(cls(), samples, needed, mask)
    mixed = torch.where(inside.unsqueeze(1), samples, other).requires_grad_()
    again = call(cls(), mixed, changed, mask)
    assert again.item() == pytest.approx(loss.item(), rel=1e-6)
    again.backward()
    outside = ~inside.unsqueeze(1).expand_as(mixed)
    assert not mixed.grad[outside].any()
    assert mixed.grad[~outside].any()


@every_loss
def test_an_empty_mask_gives_zero_and_zero_gradients(cls):
    samples, needed, mask = batch(4)
    samples.requires_grad_()
    loss = call(cls(), samples, needed, 0 * mask)
    loss.backward()
    assert loss.item() == 0
    assert not samples.grad.any()


@every_loss
def test_weight_and_scale(cls):
    samples, needed, mask = batch(4)
    loss = call(cls(), samples, needed, mask)
    weighted = call(cls(loss_weight=3.0), samples, needed, mask)
    assert weighted.item() == pytest.approx(3 * loss.item(), rel=1e-6)

    def scaled(power):
        center, dispersion = needed['moments']
        moments = Moments(2 * center, 2**power * dispersion)
        return needed | dict(target=2 * needed['target'], moments=moments)

    distribution = cls().distribution
    power = DISTRIBUTIONS[distribution].power if distribution else 1
    doubled = call(cls(), 2 * samples, scaled(power), mask)
    same_at_any_scale = cls is losses.NDivLoss
    assert (doubled.item() == pytest.approx(loss.item(), rel=1e-2)) == same_at_any_scale
    same = call(cls(value_scale=2.0), samples, needed, mask)
    assert same.item() == pytest.approx(doubled.item(), rel=1e-6)


@every_loss
def test_a_wrong_number_of_arguments_is_refused(cls):
    samples, needed, mask = batch(4)
    loss = cls()
    args = [needed[name] for name in loss.needs]
    listed = ''.join(f', then {need}' for need in loss.needs)
    message = rf'samples{listed} .*mask=.*got {len(args) + 1} '
    with pytest.raises(UserError, match=message):
        loss(samples, *args, mask)
    if args:
        with pytest.raises(UserError, match=f'got {len(args) - 1} arguments'):
            loss(samples, *args[1:])


@every_loss
@pytest.mark.parametrize('bad', [-1.0, float('nan'), float('inf'), 'much', None])
def test_numbers_that_are_none_are_refused(cls, bad):
    for name in ('loss_weight', 'value_scale'):
        with pytest.raises(UserError, match=f'{name} must be .*got {bad!r}'):
            cls(**{name: bad})


@every_loss
def test_repr_names_every_option(cls):
    options = inspect.signature(cls).parameters
    text = repr(cls(value_scale=2.0, views=dict(pool4=2.0)))
    for name in options:
        assert f'{name}=' in text


def test_importing_them_loads_torch_only():
    code = (
        'import sys, mmagic_mr.losses; '
        'print({"mmagic", "mmengine", "mmcv", "cv2"} & set(sys.modules))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == 'set()'
