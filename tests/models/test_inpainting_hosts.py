"""MRAOTInpaintor and MRTwoStageInpaintor: what counts where, and what they refuse."""

import pytest
import torch
from helpers import hosts
from mmengine import MessageHub

from mmagic_mr.errors import UserError

CRPS = dict(crps=dict(type='CRPSLoss'))
AOT, DEEPFILL = hosts.HOSTS['aot'], hosts.HOSTS['two_stage']
L1, PERCEPTUAL = hosts.L1, dict(type='Perceptual')


@pytest.fixture(autouse=True)
def _from_iteration_0():
    """As a Runner that starts; none drives the training."""
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize('spec', [AOT, DEEPFILL], ids=['aot', 'two_stage'])
def test_known_pixels_stay_and_holes_vary(spec):
    model = hosts.build(spec.config, sample_losses=dict(mr=hosts.PROXY)).eval()
    data = spec.data(2)
    size = data['inputs'][0].shape[-1]
    for output, sample in zip(
        hosts.check_host_fields(model, data, size), data['data_samples'], strict=True
    ):
        known = (sample.mask == 0).expand_as(sample.gt_img)
        for image in (*output.samples, output.sample_mean, output.pred_mean):
            assert torch.equal(image[known].round(), sample.gt_img[known])
        assert not output.sample_var[known].any()
        assert (output.sample_var[~known] > 0).any()
    batch = hosts.batch_of(model, data)
    x = torch.cat([batch.known, batch.mask], 1)
    samples = model.sample(x, num_samples=4, seed=1)
    outside = (batch.mask == 0).unsqueeze(1).expand_as(samples)
    assert torch.equal(
        samples[outside], batch.known.unsqueeze(1).expand_as(samples)[outside]
    )


@pytest.mark.parametrize('steps', [1, 2])
@pytest.mark.parametrize('spec', [AOT, DEEPFILL], ids=['aot', 'two_stage'])
def test_the_generator_has_its_turn_after_so_many_of_the_discriminator(spec, steps):
    schedule = dict(train_cfg=dict(disc_step=steps, start_iter=0))
    model = hosts.build(spec.config | schedule, sample_losses=CRPS)
    wrapper = hosts.optim_wrapper(model)
    turns = []
    for iteration in range(4):
        MessageHub.get_current_instance().update_info('iter', iteration)
        logs = model.train_step(spec.data(2), wrapper)
        assert 'loss_d_real' in logs
        turns.append('loss_crps' in logs)
    assert turns == ([True] * 4 if steps == 1 else [False, True] * 2)


def test_aot_input_is_white_in_the_hole():
    model = hosts.build(AOT.config, sample_losses=CRPS)
    batch = hosts.batch_of(model, AOT.data(2))
    image = batch.x[:, :3]
    torch.testing.assert_close(image, batch.known + batch.mask)
    assert torch.equal(batch.x[:, 3:], batch.mask)


def test_aot_perceptual_terms_go_and_stay_together():
    both = dict(loss_composed_percep=PERCEPTUAL, loss_out_percep=True)
    model = hosts.build(AOT.config | both, sample_losses=CRPS)
    assert not model.with_out_percep_loss
    assert not hasattr(model, 'loss_percep')
    kept = hosts.build(
        AOT.config | both, sample_losses=CRPS, keep=['loss_composed_percep']
    )
    logs = kept.train_step(AOT.data(2), hosts.optim_wrapper(kept))
    assert {'loss_out_percep', 'loss_crps'} <= logs.keys()
    for one in (dict(both, loss_out_percep=False), dict(loss_out_percep=True)):
        with pytest.raises(UserError, match='give both or neither'):
            hosts.build(AOT.config | one, mr_loss=None)


def test_the_first_stage_keeps_its_terms_and_is_one_image():
    model = hosts.build(
        DEEPFILL.config,
        sample_losses=CRPS,
        loss_l1_valid=L1,
        stage1_loss_type=['loss_l1_hole', 'loss_l1_valid'],
        stage2_loss_type=['loss_l1_hole', 'loss_l1_valid', 'loss_gan'],
    )
    hosts.steady(model)
    assert model.stage1_loss_type == ('loss_l1_hole', 'loss_l1_valid')
    assert model.stage2_loss_type == ('loss_gan',)
    batch = hosts.batch_of(model, DEEPFILL.data(2))
    samples, batch = hosts.drawn(model, batch, 3, seeds=[1, 2])
    assert batch.coarse.shape == (2, 3, *samples.shape[-2:])
    losses = model.generator_losses(batch, samples)
    assert losses.keys() == {
        'stage1_loss_l1_hole',
        'stage1_loss_l1_valid',
        'loss_crps',
        'loss_gan_g',
    }
    hole = batch.mask.expand_as(batch.y) > 0
    distance = (batch.coarse - batch.y).abs()
    torch.testing.assert_close(losses['stage1_loss_l1_hole'], distance[hole].mean())
    torch.testing.assert_close(losses['stage1_loss_l1_valid'], distance[~hole].mean())
    # Repeated inputs, and the same terms
    model.share_work = False
    samples, again = hosts.drawn(model, batch, 3, seeds=[1, 2])
    assert len(again.coarse) == 6
    repeated = model.generator_losses(again, samples)
    for name in losses:
        torch.testing.assert_close(repeated[name], losses[name], rtol=1e-4, atol=1e-5)


def test_its_discriminator_sees_the_mask_and_the_input_has_ones():
    data = DEEPFILL.data(2)
    for ones in True, False:
        model = hosts.build(DEEPFILL.config, sample_losses=CRPS, input_with_ones=True)
        model.input_with_ones = ones
        batch = hosts.batch_of(model, data)
        assert batch.x.shape[1] == 4 + ones
        assert not ones or bool((batch.x[:, 3] == 1).all())
        assert torch.equal(batch.x[:, -1:], batch.mask)
    seen = []
    model.disc.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    images = torch.rand(2, 3, 3, *batch.y.shape[-2:])
    model.discriminate(model.disc, batch, images)
    assert torch.equal(seen[0][:, 3:], batch.mask.repeat_interleave(3, 0))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(stage2_loss_type=('loss_l1_hol',)), r'no term .loss_l1_hol. .*loss_l1_h'),
        (dict(stage1_loss_type=('loss_gan',)), r"no term 'loss_gan' there"),
        (dict(stage2_loss_type=('loss_l1_hole',)), r'loss_gan is in no stage'),
        (dict(loss_tv=dict(type='MaskedTVLoss')), r'loss_tv is in no stage'),
        (dict(loss_out_percep=True), r'does not use loss_out_percep'),
        (dict(loss_gp=dict(type='GradientPenaltyLoss')), r'does not use loss_gp'),
        (
            dict(input_norm=dict(mean=(0.5,) * 3, std=(0.2,) * 3)),
            r'leave input_norm out',
        ),
        (dict(sample_chunk=2), r'sample_chunk=2: .*stage1_loss_type'),
        (
            dict(noise=dict(sites={r'stage1\.encoder\.enc6\.conv\.conv': 4})),
            r'noise enters the first stage.*take sites in stage2',
        ),
        (dict(disc_input_with_mask=3), r'disc_input_with_mask must be True or False'),
    ],
)
def test_what_two_stages_refuse(changes, message):
    with pytest.raises(UserError, match=message):
        hosts.build(DEEPFILL.config | changes, sample_losses=CRPS)


def test_noise_in_a_first_stage_without_terms():
    noise = dict(sites={r'stage1\.encoder\.enc6\.conv\.conv': 4})
    model = hosts.build(
        DEEPFILL.config | dict(noise=noise), sample_losses=CRPS, stage1_loss_type=None
    )
    for parameter in model.generator.parameters():
        parameter.data.mul_(20)  # of small networks at their start nothing is left
    samples = model.eval().sample_batch(hosts.batch_of(model, DEEPFILL.data(2)), 3)
    assert samples.std(1).max() > 0


def test_what_shows_in_training_alone():
    named = dict(stage2_loss_type=('loss_tv', 'loss_gan'))
    model = hosts.build(DEEPFILL.config | named, sample_losses=CRPS)
    with pytest.raises(UserError, match=r"stage2_loss_type has 'loss_tv', and there"):
        model.train_step(DEEPFILL.data(2), hosts.optim_wrapper(model))
    schedule = dict(train_cfg=dict(disc_step=0))
    for spec in AOT, DEEPFILL:
        model = hosts.build(spec.config | schedule, sample_losses=CRPS)
        with pytest.raises(UserError, match='disc_step is 0'):
            model.train_step(spec.data(2), hosts.optim_wrapper(model))
