"""MRGLInpaintor: what it costs, what counts, what the discriminators see."""

import copy
from dataclasses import replace

import cv2
import pytest
import torch
from helpers import hosts
from mmagic.models.utils import extract_around_bbox
from mmagic.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

from mmagic_mr.functional import proxy_mr_loss
from mmagic_mr.models.global_local import BoxBatch
from mmagic_mr.models.inpainting import local_patches
from mmagic_mr.sampling import sampling

PROXY = dict(type='ProxyMRLoss', loss_weight=10.0)
LOCAL = dict(disc_step=1, start_iter=0, iter_tc=-1, iter_td=-1, local_size=(16, 16))


def build(**kwargs):
    return hosts.build(hosts.GLCIC, **kwargs)


@pytest.fixture(scope='module')
def batch():
    return hosts.batch_of(build(), hosts.gl_data())


def flops(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def test_encoder_is_computed_once():
    """An update at 128x128, K = 12, on a device without data: no copy to the CPU."""
    n, k = 2, 12
    disc = copy.deepcopy(hosts.GLCIC['disc'])
    disc['global_disc_cfg'].update(fc_in_channels=8 * 4 * 4)
    disc['local_disc_cfg'].update(fc_in_channels=8 * 4 * 4)
    model = build(disc=disc).to('meta')

    def meta_batch(rows):
        image = torch.empty(rows, 3, 128, 128, device='meta')
        mask = torch.empty(rows, 1, 128, 128, device='meta')
        batch = model.make_condition(torch.cat([image, mask], 1))
        box = torch.tensor([[30, 20, 64, 64]] * rows)
        return BoxBatch(batch.x, image, batch.mask, batch.known, box)

    def update(batch, num_samples):
        samples = model.draw(model.generator, batch, num_samples)
        losses = model.generator_losses(batch, samples)
        assert losses.keys() == {'loss_gan_g', 'loss_mr'}
        sum(losses.values()).backward()

    def forward(rows, num_samples):
        x = meta_batch(rows).x
        with sampling(rows, num_samples):
            return model.generator(x)

    encoder = model.generator.encoder
    noise_free = copy.deepcopy(encoder)
    noise_free.enc6.conv._forward_hooks.clear()
    once = flops(lambda: noise_free(meta_batch(n).x))
    shared, repeated = flops(lambda: forward(n, k)), flops(lambda: forward(n * k, 1))
    assert repeated - shared == (k - 1) * once
    update(meta_batch(n), k)


def test_update_equals_that_of_repeated_inputs():
    model = build(mr_loss=None, rec_loss=dict(type='MSELoss'))
    hosts.check_update_equals_that_of_repeated_inputs(model, hosts.gl_data())


def test_samples_are_the_input_outside_the_hole():
    model = build(mr_loss=PROXY).eval()
    data = hosts.gl_data()
    batch = hosts.batch_of(model, data)
    x = torch.cat([batch.known, batch.mask], 1)
    samples = model.sample(x, num_samples=5)
    outside = (batch.mask == 0).unsqueeze(1).expand_as(samples)
    known = batch.known.unsqueeze(1).expand_as(samples)
    assert torch.equal(samples[outside], known[outside])
    assert (samples.var(1)[(batch.mask > 0).expand_as(batch.y)] > 0).all()
    center, dispersion = model.predict_moments(x)
    assert torch.equal(center[outside[:, 0]], batch.known[outside[:, 0]])
    assert not dispersion[outside[:, 0]].any()
    # In gray levels too, as they are written.
    for output, sample in zip(
        hosts.check_host_fields(model, data, 32), data['data_samples'], strict=True
    ):
        edge = (sample.mask == 0).expand_as(sample.gt_img)
        assert not output.sample_var[edge].any()
        for image in (*output.samples, output.sample_mean, output.pred_mean):
            assert torch.equal(image[edge].round(), sample.gt_img[edge])


@pytest.mark.parametrize('order', [1, 2])
@pytest.mark.parametrize('proxy', [False, True])
def test_only_the_hole_counts(batch, proxy, order):
    loss = dict(type='ProxyMRLoss' if proxy else 'MRLoss', order=order)
    model = build(mr_loss=loss, rec_loss=dict(type='L1Loss'), loss_gan=None)
    samples = torch.rand(4, 3, 3, 32, 32, requires_grad=True)
    moments = hosts.trained(model).predictor.moments(batch.x) if proxy else None
    losses = model.generator_losses(batch, samples, moments)
    assert losses.keys() == {'loss_mr', 'loss_rec'}
    sum(losses.values()).backward()
    inside = (batch.mask > 0).unsqueeze(1).expand_as(samples)
    assert not samples.grad[~inside].any()
    assert samples.grad[inside].all()


def test_three_times_the_weight_is_the_authors_reduction(batch):
    model = build(mr_loss=dict(type='ProxyMRLoss', loss_weight=3000.0))
    samples = torch.rand(4, 3, 3, 32, 32, requires_grad=True)
    moments = model.predictor.moments(batch.x)
    ours = model.sample_losses['mr'](samples, moments, mask=batch.mask)
    # Their code: sums over channels and pixels, divided by the number of pixels.
    values = proxy_mr_loss(samples, moments, 'gaussian')
    theirs = 1000 * (values * batch.mask).sum() / batch.mask.sum()
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, samples)[0] for loss in (ours, theirs))
    )


def test_discriminators_see_composed_images_and_the_box(batch, monkeypatch):
    model = build(train_cfg=LOCAL)
    samples = torch.rand(4, 3, 3, 32, 32)
    seen = []

    def spy(images):
        seen.append(images)
        return images[0].new_zeros(len(images[0]), 1, requires_grad=True)

    monkeypatch.setattr(model.disc, 'forward', spy)
    model.generator_losses(batch, samples)
    ((whole, local),) = seen
    expected = torch.where(
        batch.mask.unsqueeze(1) > 0, samples, batch.y.unsqueeze(1)
    ).flatten(0, 1)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-6)
    boxes = batch.box.repeat_interleave(3, 0)
    patches, _ = extract_around_bbox(expected, boxes, (16, 16))
    torch.testing.assert_close(local, patches, rtol=0, atol=1e-6)


def test_patches_equal_mmagics_and_stay_inside():
    samples = torch.rand(3, 2, 3, 20, 24)
    boxes = torch.tensor([[4, 6, 5, 6], [0, 1, 3, 3], [9, 13, 7, 4]])
    ours = local_patches(samples, boxes, (8, 8)).flatten(0, 1)
    images, doubled = samples.flatten(0, 1), boxes.repeat_interleave(2, 0)
    theirs, _ = extract_around_bbox(images, doubled, (8, 8))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    # At the far border MMagic's patch is cut off.
    corner = local_patches(samples, torch.tensor([[17, 20, 3, 4]] * 3), (8, 8))
    torch.testing.assert_close(corner, samples[..., 12:, 16:], rtol=0, atol=0)
    same = local_patches(samples, torch.tensor([[2, 3, 5, 6]] * 3))
    torch.testing.assert_close(same, samples[..., 2:7, 3:9], rtol=0, atol=0)
    with pytest.raises(
        ValueError, match='patch of 30x8 is larger than the image of 24'
    ):
        local_patches(samples, boxes, (8, 30))


@pytest.mark.parametrize('disc_step', [1, 2, 3])
def test_schedule_is_mmagics(disc_step):
    config = dict(LOCAL, disc_step=disc_step, start_iter=1, iter_tc=3, iter_td=6)
    model = build(train_cfg=config)
    expected, count = [], 0
    for cur_iter in range(1, 16):  # GLInpaintor.train_step
        updates_disc = cur_iter > 3
        updates_gen = not updates_disc
        if updates_disc:
            count = (count + 1) % disc_step
            updates_gen = count == 0 and cur_iter > 6
        expected.append((updates_disc, updates_gen))
    ours = [
        (model.is_adversarial(i), model.generator_turn(i) is not None)
        for i in range(15)
    ]
    assert ours == expected


def test_no_gan_loss_while_mmagic_warms_up():
    from mmengine import MessageHub

    model = build(train_cfg=dict(LOCAL, iter_tc=1, iter_td=2))
    wrappers = hosts.optim_wrapper(model)
    keys = []
    for iteration in range(4):
        MessageHub.get_current_instance().update_info('iter', iteration)
        logs = model.train_step(hosts.gl_data(), wrappers)
        keys.append({key for key in logs if key.startswith('loss')})
    disc = {'loss_d_real', 'loss_d_fake'}
    assert keys == [
        {'loss_mr'},
        {'loss_mr'},
        disc,
        disc | {'loss_mr', 'loss_gan_g'},
    ]


def test_moment_loss_replaces_l1(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.reconstruction.print_log',
        lambda line, logger: lines.append(line),
    )
    l1 = dict(type='L1Loss')
    model = build(loss_l1_hole=l1, loss_l1_valid=l1)
    assert len(lines) == 1
    assert 'replaces loss_l1_hole (L1Loss), loss_l1_valid (L1Loss)' in lines[0]
    assert 'loss_l1_hole' not in hosts.check_training(model, hosts.gl_data())


def test_baseline_keeps_the_hosts_l1(batch):
    model = build(
        mr_loss=None,
        num_samples=1,
        loss_l1_hole=dict(type='MSELoss', loss_weight=100.0),
        loss_l1_valid=dict(type='L1Loss'),
    )
    samples = torch.rand(4, 1, 3, 32, 32)
    losses = model.generator_losses(batch, samples)
    assert losses.keys() == {'loss_gan_g', 'loss_l1_hole', 'loss_l1_valid'}
    difference = samples[:, 0] - batch.y
    inside = (batch.mask > 0).expand_as(difference)
    torch.testing.assert_close(
        losses['loss_l1_hole'], 100 * difference[inside].square().mean()
    )
    # As MMagic: of the raw output, that is not composed.
    torch.testing.assert_close(
        losses['loss_l1_valid'], difference[~inside].abs().mean()
    )


@pytest.mark.parametrize('distribution', ['gaussian', 'laplace'])
def test_proxy(distribution):
    model = build(mr_loss=dict(PROXY, distribution=distribution), train_cfg=LOCAL)
    assert 'pred_std' in hosts.check_training(model, hosts.gl_data())


def test_bfloat16_autocast():
    with torch.autocast('cpu', torch.bfloat16):
        hosts.check_training(build(mr_loss=PROXY), hosts.gl_data())


def test_mmagics_own_ways():
    stock = {k: v for k, v in hosts.GLCIC.items() if k != 'noise'}
    model = build(mr_loss=PROXY)
    stock = MODELS.build(dict(copy.deepcopy(stock), type='GLInpaintor'))
    hosts.check_released_checkpoints_load(model, stock)
    hosts.check_mmagics_interface(model, hosts.gl_data())


def test_sync_batch_norm_works_in_one_process():
    """As MMagic's base has it; on a CPU too."""
    host = copy.deepcopy(hosts.GLCIC)
    for part in 'encoder', 'decoder', 'dilation_neck':
        host['encdec'][part]['norm_cfg'] = dict(type='SyncBN')
    for part in 'global_disc_cfg', 'local_disc_cfg':
        host['disc'][part]['norm_cfg'] = dict(type='SyncBN')
    logs = hosts.check_training(hosts.build(host), hosts.gl_data())
    same = hosts.check_training(hosts.build(hosts.GLCIC), hosts.gl_data())
    for name in logs:
        assert float(logs[name]) == pytest.approx(float(same[name]), rel=1e-5)


def test_input_norm_leaves_the_known_pixels_alone():
    model = build(input_norm=dict(mean=(0.5,) * 3, std=(0.2,) * 3))
    batch = hosts.batch_of(model, hosts.gl_data())
    torch.testing.assert_close(batch.x[:, :3], (batch.known - 0.5) / 0.2)
    assert torch.equal(batch.x[:, 3:], batch.mask)


def test_bad_input(batch):
    model = build(train_cfg=dict(LOCAL, local_size=(48, 48)))
    with pytest.raises(ValueError, match=r'image with its hole.*4 channels: got 3'):
        model.sample(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r'48x48 is larger.*train_cfg.local_size'):
        model.discriminate(model.disc, batch, batch.y.unsqueeze(1))
    with pytest.raises(ValueError, match='let the pipeline set mask_bbox'):
        model.discriminate(model.disc, replace(batch, box=None), batch.y.unsqueeze(1))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('files')
    for name, size in ('face', 32), ('odd', 30), ('empty', 32):
        cv2.imwrite(str(folder / f'{name}.png'), torch.zeros(size, size).numpy())
    mask = torch.zeros(32, 32)
    mask[8:20, 8:20] = 255
    cv2.imwrite(str(folder / 'mask.png'), mask.numpy())
    (folder / 'text.png').write_text('no image')
    return folder


@pytest.mark.parametrize(
    ('image', 'mask', 'message'),
    [
        ('face', 'empty', 'the mask has no hole'),
        ('face', 'odd', 'the mask is 30x30, the image 32x32'),
        ('face', None, r'face.png: inpainting needs a mask'),
        ('odd', 'odd', 'hole'),
        ('text', 'mask', r'text.png is not a readable image'),
        ('face', 'text', r'text.png is not a readable image'),
    ],
)
def test_bad_files(files, image, mask, message):
    from helpers.inference import sample_image
    from mmengine.config import Config

    model = build().eval()
    load = dict(type='LoadImageFromFile', key='gt')
    holes = [dict(type='LoadMask', mask_mode='file'), dict(type='FillHole')]
    pipeline = [load, *holes, dict(type='PackInputs')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    mask = mask and files / f'{mask}.png'
    with pytest.raises(ValueError, match=message):
        sample_image(model, files / f'{image}.png', 2, 0, mask=mask)
    output = sample_image(model, files / 'face.png', 2, 0, mask=files / 'mask.png')
    assert output.samples.shape == (2, 3, 32, 32)
    assert 'gt_img' not in output
