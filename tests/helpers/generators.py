"""MMagic's generators with few channels, and what each takes."""

import torch

GATED = dict(conv_type='gated_conv', channel_factor=0.25)
_STAGE1 = dict(
    type='GLEncoderDecoder',
    encoder=dict(type='DeepFillEncoder', **GATED),
    decoder=dict(type='DeepFillDecoder', in_channels=32, **GATED),
    dilation_neck=dict(
        type='GLDilationNeck', in_channels=32, conv_type='gated_conv', act_cfg=None
    ),
)
_STAGE2 = dict(
    type='DeepFillRefiner',
    encoder_attention=dict(
        type='DeepFillEncoder', encoder_type='stage2_attention', **GATED
    ),
    encoder_conv=dict(type='DeepFillEncoder', encoder_type='stage2_conv', **GATED),
    dilation_neck=_STAGE1['dilation_neck'],
    contextual_attention=dict(
        type='ContextualAttentionNeck', in_channels=32, conv_type='gated_conv'
    ),
    decoder=dict(type='DeepFillDecoder', in_channels=64, **GATED),
)
IMAGES = dict(in_channels=3, out_channels=3)
# Name -> config, and the shape of an input of one image
GENERATORS = {
    'unet': (
        dict(type='UnetGenerator', num_down=5, base_channels=4, **IMAGES),
        (3, 32, 32),
    ),
    'resnet': (
        dict(type='ResnetGenerator', base_channels=4, num_blocks=2, **IMAGES),
        (3, 16, 16),
    ),
    'msrresnet': (
        dict(type='MSRResNet', mid_channels=4, num_blocks=2, **IMAGES),
        (3, 8, 8),
    ),
    'rrdb': (
        dict(type='RRDBNet', mid_channels=8, num_blocks=2, growth_channels=4, **IMAGES),
        (3, 8, 8),
    ),
    'edsr': (dict(type='EDSRNet', mid_channels=4, num_blocks=2, **IMAGES), (3, 8, 8)),
    'rdn': (
        dict(
            type='RDNNet',
            mid_channels=4,
            num_blocks=2,
            num_layers=2,
            channel_growth=4,
            **IMAGES,
        ),
        (3, 8, 8),
    ),
    'srcnn': (dict(type='SRCNNNet', channels=(3, 8, 4, 3)), (3, 4, 4)),
    'swinir': (
        dict(
            type='SwinIRNet',
            upscale=2,
            in_chans=3,
            img_size=8,
            window_size=4,
            depths=[2, 2],
            embed_dim=8,
            num_heads=[2, 2],
            mlp_ratio=2,
            upsampler='pixelshuffledirect',
            drop_path_rate=0.0,
        ),
        (3, 8, 8),
    ),
    'restormer': (
        dict(
            type='Restormer',
            dim=8,
            num_blocks=[1, 1, 1, 1],
            num_refinement_blocks=1,
            heads=[1, 2, 2, 2],
        ),
        (3, 16, 16),
    ),
    'nafnet': (
        dict(
            type='NAFNet',
            mid_channels=4,
            enc_blk_nums=[1, 1],
            middle_blk_num=1,
            dec_blk_nums=[1, 1],
        ),
        (3, 8, 8),
    ),
    'global_local': (dict(type='GLEncoderDecoder'), (4, 16, 16)),
    'deepfill': (
        dict(type='DeepFillEncoderDecoder', stage1=_STAGE1, stage2=_STAGE2),
        (5, 64, 64),
    ),
    'aot': (
        dict(
            type='AOTEncoderDecoder',
            encoder=dict(type='AOTEncoder', mid_channels=8, out_channels=32),
            decoder=dict(type='AOTDecoder', in_channels=32, mid_channels=16),
            dilation_neck=dict(
                type='AOTBlockNeck',
                in_channels=32,
                num_aotblock=2,
            ),
        ),
        (4, 40, 40),
    ),
    'pconv': (
        dict(
            type='PConvEncoderDecoder',
            encoder=dict(type='PConvEncoder', num_layers=4, norm_eval=False),
            decoder=dict(type='PConvDecoder', num_layers=4),
        ),
        (3, 32, 32),
    ),
    'deblurgan': (
        dict(
            type='DeblurGanV2Generator',
            backbone='FPNMobileNet',
            norm_layer='instance',
            num_filter=8,
            num_filter_fpn=16,
        ),
        (3, 64, 64),
    ),
    'glean': (
        dict(
            type='GLEANStyleGANv2',
            in_size=4,
            out_size=8,
            img_channels=3,
            rrdb_channels=8,
            num_rrdbs=1,
            style_channels=16,
            num_mlps=1,
            channel_multiplier=1,
        ),
        (3, 4, 4),
    ),
}


def inputs_of(name: str, rows: int, dtype=torch.double) -> list[torch.Tensor]:
    """Random images; for inpainting with masks, of a hole where each wants them."""
    shape = GENERATORS[name][1]
    inputs = [torch.rand(rows, *shape, dtype=dtype)]
    hole = torch.zeros(rows, 1, *shape[1:], dtype=dtype)
    hole[:, :, 8:16, 8:16] = 1
    if name == 'pconv':
        inputs.append((1 - hole).expand(-1, 3, -1, -1).clone())
    if name == 'deepfill':
        inputs[0][:, 4:] = hole
    return inputs
