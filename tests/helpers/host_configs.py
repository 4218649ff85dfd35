"""Data for small models of every host, and the larger of their configs."""

import torch
from mmagic.structures import DataSample

SIZE = 72  # the least that the dilations of DeepFill's reflection padding allow
IN_MINUS_1_1 = dict(type='DataPreprocessor', mean=[127.5], std=[127.5])

AOT = dict(
    type='MRAOTInpaintor',
    data_preprocessor=IN_MINUS_1_1,
    encdec=dict(
        type='AOTEncoderDecoder',
        encoder=dict(type='AOTEncoder', mid_channels=4, out_channels=16),
        dilation_neck=dict(
            type='AOTBlockNeck',
            in_channels=16,
            num_aotblock=2,
            dilation_rates=(1, 2, 3, 4),
        ),
        decoder=dict(type='AOTDecoder', in_channels=16, mid_channels=8),
    ),
    disc=dict(
        type='SoftMaskPatchDiscriminator',
        in_channels=3,
        base_channels=4,
        num_conv=2,
        with_spectral_norm=True,
    ),
    loss_gan=dict(type='GANLoss', gan_type='smgan', loss_weight=0.01),
    loss_out_percep=False,
    noise='aot',
)

_GATED = dict(conv_type='gated_conv', padding_mode='reflect')
_NECK = dict(type='GLDilationNeck', in_channels=16, act_cfg=dict(type='ELU'), **_GATED)


def _encoder(kind: str) -> dict:
    return dict(
        type='DeepFillEncoder', encoder_type=kind, channel_factor=0.125, **_GATED
    )


def _decoder(in_channels: int) -> dict:
    return dict(
        type='DeepFillDecoder',
        in_channels=in_channels,
        channel_factor=0.125,
        out_act_cfg=dict(type='Tanh'),
        **_GATED,
    )


DEEPFILL = dict(
    type='MRTwoStageInpaintor',
    data_preprocessor=IN_MINUS_1_1,
    encdec=dict(
        type='DeepFillEncoderDecoder',
        stage1=dict(
            type='GLEncoderDecoder',
            encoder=_encoder('stage1'),
            decoder=_decoder(16),
            dilation_neck=_NECK,
        ),
        stage2=dict(
            type='DeepFillRefiner',
            encoder_attention=_encoder('stage2_attention'),
            encoder_conv=_encoder('stage2_conv'),
            dilation_neck=_NECK,
            contextual_attention=dict(
                type='ContextualAttentionNeck', in_channels=16, **_GATED
            ),
            decoder=_decoder(32),
        ),
    ),
    disc=dict(
        type='MultiLayerDiscriminator',
        in_channels=4,
        max_channels=8,
        fc_in_channels=None,
        num_convs=3,
        norm_cfg=None,
        act_cfg=dict(type='LeakyReLU', negative_slope=0.2),
        out_act_cfg=dict(type='LeakyReLU', negative_slope=0.2),
        with_spectral_norm=True,
    ),
    loss_gan=dict(type='GANLoss', gan_type='hinge', loss_weight=0.1),
    loss_l1_hole=dict(type='L1Loss'),
    stage1_loss_type=('loss_l1_hole',),
    stage2_loss_type=('loss_l1_hole', 'loss_gan'),
    input_with_ones=True,
    disc_input_with_mask=True,
    noise='deepfill',
)


def image(rng, size):
    return torch.randint(256, (3, size, size), generator=rng).float()


def sr_data(n=4, size=8):
    rng = torch.Generator().manual_seed(1)
    data = dict(inputs=[], data_samples=[])
    for i in range(n):
        sample = DataSample(metainfo=dict(img_path=f'lq/{i}.png'))
        sample.set_tensor_data(dict(gt_img=image(rng, 4 * size)))
        data['inputs'].append(image(rng, size))
        data['data_samples'].append(sample)
    return data


def real_data(n=4):
    """Targets that differ from the sharpened ones."""
    data = sr_data(n)
    for sample in data['data_samples']:
        sample.set_tensor_data(dict(gt_unsharp=255 - sample.gt_img))
    return data


def gl_data(n=4, size=32):
    """Holes of 12x10 in boxes of 16x16."""
    rng = torch.Generator().manual_seed(1)
    data = dict(inputs=[], data_samples=[])
    for i in range(n):
        gt, mask = image(rng, size), torch.zeros(1, size, size)
        mask[:, 2 + i : 14 + i, 5:15] = 1
        sample = DataSample(
            metainfo=dict(gt_path=f'gt/{i}.png', mask_bbox=(1 + i, 3, 16, 16))
        )
        sample.set_tensor_data(dict(gt_img=gt, mask=mask))
        data['inputs'].append(torch.where(mask > 0, 100.0, gt))
        data['data_samples'].append(sample)
    return data
