"""Without sample losses, with one sample and noise of 0: MMagic's own training."""

import copy

import pytest
import torch
from helpers import hosts
from mmagic.registry import MODELS
from mmengine import MessageHub
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapperDict
from mmengine.registry import init_default_scope

# Name in our log -> in MMagic's, where they differ; one name for a sum.
GAN = dict(loss_gan_g='loss_gan')
INPAINTING = dict(loss_gan_g='loss_g_fake', loss_d_real='real_loss')
INPAINTING |= dict(loss_d_fake='fake_loss')
THEIRS = {
    'pix2pix': dict(loss_d_real='loss_gan_d_real', loss_d_fake='loss_gan_d_fake'),
    'srgan': GAN,
    'esrgan': GAN,
    'real_esrgan': GAN,
    'edit': dict(loss_pix='loss'),
    'glcic': INPAINTING,
    'aot': dict(
        loss_gan_g='loss_g_fake', loss_d_real='disc_losses', loss_d_fake='disc_losses'
    ),
    'two_stage': INPAINTING | dict(loss_gan_g='stage2_loss_g_fake'),
}
# Our discriminator's update over MMagic's, where it is the authors'.
SHARE = dict(srgan=0.5, glcic=0.5)
FURTHER = dict(
    glcic=dict(
        train_cfg=dict(
            disc_step=1, start_iter=0, iter_tc=-1, iter_td=-1, local_size=(16, 16)
        )
    ),
    aot=dict(train_cfg=dict(disc_step=1, start_iter=0)),
    two_stage=dict(
        train_cfg=dict(disc_step=1, start_iter=0),
        stage1_loss_type=('loss_l1_hole', 'loss_l1_valid', 'loss_tv'),
    ),
)
# MMagic overwrites one half of it with the other in the log.
LOGGED_IN_PART = {'loss_disc_shift'}


@pytest.fixture(autouse=True)
def _from_iteration_0():
    """As a Runner that starts; none drives the training."""
    MessageHub.get_current_instance().update_info('iter', 0)


def both(host):
    """Our host and MMagic's class, of the same weights, with all losses."""
    init_default_scope('mmagic')
    spec = hosts.HOSTS[host]
    losses = spec.arguments(list(spec.effects)) | FURTHER.get(host, {})
    ours = hosts.build(spec.config, mr_loss=None, **losses | dict(num_samples=1))
    for network in ours.noisy_networks():
        for site in ours.noise_sites:
            torch.nn.init.zeros_(network.get_submodule(site).noise.conv.weight)
    theirs = MODELS.build(ConfigDict(hosts.stock_config(spec.config) | losses))
    missing = theirs.load_state_dict(ours.state_dict(), strict=False).missing_keys
    assert missing == []
    return hosts.steady(ours), hosts.steady(theirs), spec.data()


def step(model, like, data, moving):
    """The log, and by how much each parameter of one network moved."""
    wrappers = {
        name: hosts.optim_wrapper_of(
            getattr(model, name),
            optimizer=dict(type='SGD', lr=1.0 if name == moving else 0.0),
        )
        for name in hosts.networks(like)
    }
    single = not hasattr(like, 'discriminator_name')
    before = hosts.parameters(getattr(model, moving))
    logs = model.train_step(
        data, wrappers[moving] if single else OptimWrapperDict(**wrappers)
    )
    after = hosts.parameters(getattr(model, moving))
    return logs, {n: after[n] - before[n] for n in before if 'noise' not in n}


def check_moves(ours, theirs):
    assert ours.keys() == theirs.keys()
    largest = max(float(move.abs().max()) for move in theirs.values())
    assert largest > 0
    for name, move in ours.items():
        torch.testing.assert_close(
            move, theirs[name], rtol=1e-4, atol=1e-5 * largest, msg=name
        )


@pytest.mark.parametrize('host', hosts.HOSTS)
def test_generators_terms_and_update(host):
    ours, theirs, data = both(host)
    (logs, move), (expected, their_move) = (
        step(model, ours, copy.deepcopy(data), ours.generator_name)
        for model in (ours, theirs)
    )
    names = THEIRS[host]
    terms = [n for n in logs if n.startswith('loss_') or n.startswith('stage')]
    terms = [n for n in terms if n not in LOGGED_IN_PART]
    named = {names.get(n, n) for n in terms}
    assert named | {'loss'} | LOGGED_IN_PART >= expected.keys()
    for name in named:
        value = sum(logs[n] for n in terms if names.get(n, n) == name)
        torch.testing.assert_close(
            *map(torch.as_tensor, (value, expected[name])), rtol=1e-6, atol=1e-6
        )
    check_moves(move, their_move)


@pytest.mark.parametrize('host', [h for h in hosts.HOSTS if h != 'edit'])
def test_discriminators_update(host):
    ours, theirs, data = both(host)
    move, their_move = (
        step(model, ours, copy.deepcopy(data), ours.discriminator_name)[1]
        for model in (ours, theirs)
    )
    share = SHARE.get(host, 1.0)
    check_moves(move, {name: share * value for name, value in their_move.items()})
