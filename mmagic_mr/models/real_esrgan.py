"""Real-ESRGAN, with several targets and its own average, that draws many samples."""

import logging
from dataclasses import dataclass

from mmengine.logging import print_log
from torch import Tensor, nn

from mmagic_mr.checks import checked
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, RealESRGAN, normalization, unwrap
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.srgan import MRSRGAN

UNMOVED_IS_SAID = -1  # no version of weights


@dataclass(frozen=True)
class SharpBatch(Batch):
    """A batch with two targets; y is the one of pixel and sample losses.

    Attributes:
        plain: (N, C, H, W), the image.
        sharp: Likewise, sharpened; None: the pipeline has made none.
    """

    plain: Tensor | None = None
    sharp: Tensor | None = None


@MODELS.register_module()
class MRRealESRGAN(MRSRGAN, RealESRGAN):
    """Real-ESRGAN with K samples per input and losses on the samples.

    What takes the place of ``pixel_loss`` takes its target, too: with
    ``is_use_sharpened_gt_in_pixel`` the sharpened image. Without a discriminator it is
    Real-ESRNet.

    Validation, test and tools sample from one average of the generator. With
    ``is_use_ema=True`` it is MMagic's, ``generator_ema``, which gets the same noise
    sites and weights, and which the config's ``ExponentialMovingAverageHook`` moves.
    With ``is_use_ema=False`` it can be ours, ``ema=dict(decay=0.999)``; that hook then
    has to go from the config.

    Args:
        is_use_sharpened_gt_in_pixel: The target of pixel and sample losses is the
            image sharpened by unsharp masking.
        is_use_sharpened_gt_in_percep: That of the perceptual loss.
        is_use_sharpened_gt_in_gan: What the discriminator takes for real.
        is_use_ema: Whether there is ``generator_ema``.
        ema: See `MomentReconstruction`.
        kwargs: Those of `MRSRGAN`; noise preset of its network: ``'rrdb'``.

    Raises:
        UserError: Two averages; in training, a sharpened image that is asked for and
            not made.

    Reference:
        Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
        Synthetic Data", ICCV Workshops 2021; Lee et al., ICLR 2019.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> init_default_scope('mmagic')
        >>> network = dict(type='RRDBNet', in_channels=3, out_channels=3,
        ...                mid_channels=4, num_blocks=1, growth_channels=4)
        >>> model = MRRealESRGAN(generator=network, noise='rrdb')
        >>> model.sample(torch.zeros(1, 3, 8, 8), num_samples=2).shape
        torch.Size([1, 2, 3, 32, 32])
    """

    mmagic_class = RealESRGAN
    discriminator_weight = 1.0
    used_arguments = (
        *MRSRGAN.used_arguments,
        'is_use_sharpened_gt_in_pixel',
        'is_use_sharpened_gt_in_percep',
        'is_use_sharpened_gt_in_gan',
        'is_use_ema',
    )

    @checked
    def __init__(
        self,
        *,
        is_use_sharpened_gt_in_pixel: bool = False,
        is_use_sharpened_gt_in_percep: bool = False,
        is_use_sharpened_gt_in_gan: bool = False,
        is_use_ema: bool = True,
        ema: dict | None = None,
        **kwargs,
    ):
        if ema is not None and is_use_ema:
            raise UserError(
                f'ema={ema} and is_use_ema=True are two averages of the generator: '
                'leave ema out, or set is_use_ema=False and take '
                'ExponentialMovingAverageHook out of custom_hooks'
            )
        super().__init__(
            is_use_sharpened_gt_in_pixel=is_use_sharpened_gt_in_pixel,
            is_use_sharpened_gt_in_percep=is_use_sharpened_gt_in_percep,
            is_use_sharpened_gt_in_gan=is_use_sharpened_gt_in_gan,
            is_use_ema=is_use_ema,
            ema=ema,
            **kwargs,
        )
        self._start_average()

    def _start_average(self) -> None:
        self._unmoved: int | None = None  # version of its weights at the first update
        if self.generator_ema is not None:
            # MMagic draws weights of its own for it, and noise sites come later.
            state = unwrap(self.generator).state_dict()
            unwrap(self.generator_ema).load_state_dict(state)

    def init_weights(self) -> None:
        super().init_weights()
        self._start_average()

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        copy, own = f'{prefix}generator_ema.', f'{prefix}generator.'
        if self.generator_ema is not None and not any(
            name.startswith(copy) for name in state_dict
        ):
            print_log(
                'generator_ema: there is none in what was loaded; it starts as a copy '
                'of the generator',
                'current',
            )
            state_dict.update(
                {
                    copy + name.removeprefix(own): value
                    for name, value in list(state_dict.items())
                    if name.startswith(own)
                }
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def noisy_networks(self) -> list[nn.Module]:
        networks = super().noisy_networks()
        if self.generator_ema is not None:
            networks.append(unwrap(self.generator_ema))
        return networks

    @property
    def sampled_network(self) -> nn.Module:
        """The average of the generator, where there is one; else the generator."""
        if self.generator_ema is None:
            return super().sampled_network
        if self._unmoved is not None and self._unmoved == self._moves():
            self._unmoved = UNMOVED_IS_SAID
            print_log(
                'generator_ema is as it was before the first update, and samples are '
                'drawn from it: put dict(type="ExponentialMovingAverageHook", '
                'module_keys="generator_ema", interval=1) into custom_hooks, or set '
                'is_use_ema=False',
                'current',
                logging.WARNING,
            )
        return unwrap(self.generator_ema)

    def _moves(self) -> int:
        """How often the weights of the average were changed."""
        return next(unwrap(self.generator_ema).parameters())._version

    def make_batch(self, data: dict) -> SharpBatch:
        batch = super().make_batch(data)
        samples = data['data_samples']
        sharp, scale = samples.get('gt_unsharp'), normalization(self.data_preprocessor)
        # MMagic divides by 255; among its `data_keys` it is scaled already.
        scaled = 'gt_unsharp_enable_norm' in samples.metainfo
        if sharp is not None and scale is not None and not scaled:
            sharp = (sharp - scale[0]) / scale[1]
        sharpened = self.is_use_sharpened_gt_in_pixel and sharp is not None
        target = sharp if sharpened else batch.y
        return SharpBatch(batch.x, target, plain=batch.y, sharp=sharp)

    def _target(self, batch: SharpBatch, sharpened: bool) -> Tensor:
        if not sharpened:
            return batch.plain
        if batch.sharp is None:
            raise UserError(
                'a loss is to be taken with the sharpened image (is_use_sharpened_gt_in'
                '_...=True), and the data samples have no gt_unsharp: put '
                'dict(type="UnsharpMasking", keys=["gt"], ...) before PackInputs, as '
                "MMagic's config has it"
            )
        return batch.sharp

    def perceptual_target(self, batch: SharpBatch) -> Tensor:
        return self._target(batch, self.is_use_sharpened_gt_in_percep)

    def real_images(self, batch: SharpBatch) -> Tensor:
        return self._target(batch, self.is_use_sharpened_gt_in_gan)

    def generator_losses(self, batch: SharpBatch, *args, **kwargs) -> dict[str, Tensor]:
        self._target(batch, self.is_use_sharpened_gt_in_pixel)
        if self.generator_ema is not None and self._unmoved is None:
            self._unmoved = self._moves()
        return super().generator_losses(batch, *args, **kwargs)
