"""DeepFillv2, whose two stages are trained together, that draws many samples."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn

from mmagic_mr.checks import checked, near
from mmagic_mr.errors import UserError
from mmagic_mr.functional.checks import full_precision
from mmagic_mr.host import MODELS, TwoStageInpaintor
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.host_terms import perceptual_losses, pixel_loss
from mmagic_mr.models.inpainting import InpaintingGAN
from mmagic_mr.sampling import SharedForward

TERMS = 'loss_l1_hole', 'loss_l1_valid', 'loss_composed_percep', 'loss_tv'


@dataclass(frozen=True)
class StagesBatch(Batch):
    """A batch that knows what the first stage made of it.

    Attributes:
        coarse: (N, C, H, W); None: the generator has not run.
    """

    coarse: Tensor | None = None


@MODELS.register_module()
class MRTwoStageInpaintor(InpaintingGAN, TwoStageInpaintor):
    """DeepFillv2 with K samples per input and losses on the samples.

    The first stage gives one coarse image, as ever, and keeps its terms. Noise enters
    the second, whose images are the samples: losses on the samples count inside the
    hole, and replace ``loss_l1_hole``, ``loss_l1_valid`` and ``loss_composed_percep``
    among the ``stage2_loss_type``.

    Args:
        stage1_loss_type: Names of the terms of the coarse image, of ``loss_l1_hole``,
            ``loss_l1_valid``, ``loss_composed_percep`` and ``loss_tv``.
        stage2_loss_type: Those of the samples, and ``loss_gan``.
        sample_chunk: See `MomentReconstruction`; not with terms of the first stage.
        kwargs: Those of `MomentGAN`, `MomentReconstruction` and MMagic's
            ``TwoStageInpaintor``; ``loss_gp`` is refused, ``gradient_penalty`` is its
            like, and so is ``loss_out_percep``, which that one ignores.

    ``sample`` and ``predict_moments`` take 4 channels: the image with its hole filled,
    and the mask, 1 in the hole.

    Raises:
        UserError: A term that is in no stage, or unknown, or of a loss that is not
            given; a GAN in the first stage; noise in a first stage that has terms;
            ``input_norm``, which would give the two stages different ranges.

    Reference:
        Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019;
        Lee et al., ICLR 2019.
    """

    mmagic_class = TwoStageInpaintor
    reconstruction_terms = ('loss_l1_hole', 'loss_l1_valid', 'loss_composed_percep')
    perceptual_terms = MappingProxyType({'loss_composed_percep': 'loss_percep'})
    size_multiple = 8
    # Its output convolution is gated; it returns both stages.
    predictor_arguments = MappingProxyType({'channels': 3, 'output': 1})
    used_arguments = (
        'data_preprocessor',
        'encdec',
        'disc',
        'loss_gan',
        'loss_disc_shift',
        'loss_tv',
        'train_cfg',
        'test_cfg',
        'init_cfg',
        'stage1_loss_type',
        'stage2_loss_type',
        'input_with_ones',
        'disc_input_with_mask',
    )
    noise_presets = MappingProxyType(
        {
            'deepfill': {
                r'stage2\.encoder_conv\.enc6(\.conv)+': 32,
                r'stage2\.dilation_neck\.dilation_convs\.[01](\.conv)+': 32,
            }
        }
    )

    @checked
    def __init__(
        self,
        *,
        stage1_loss_type: tuple[str, ...] | None = ('loss_l1_hole',),
        stage2_loss_type: tuple[str, ...] | None = ('loss_l1_hole', 'loss_gan'),
        input_with_ones: bool = True,
        disc_input_with_mask: bool = False,
        train_cfg: dict | None = None,
        sample_chunk: int | None = None,
        **kwargs,
    ):
        stages = tuple(stage1_loss_type or ()), tuple(stage2_loss_type or ())
        _check_stages(*stages, kwargs)
        if sample_chunk is not None and stages[0]:
            raise UserError(
                f'sample_chunk={sample_chunk}: in chunks the first stage runs out of '
                f'reach of its terms, stage1_loss_type={stages[0]}: leave one of the '
                'two out'
            )
        if kwargs.get('input_norm') is not None:
            raise UserError(
                f'input_norm={kwargs["input_norm"]}: between the stages this network '
                'puts the coarse image into the hole of its input, so both are in one '
                'range: leave input_norm out'
            )
        if train_cfg is not None:
            train_cfg = ConfigDict({'start_iter': 0, **train_cfg})
        super().__init__(
            stage1_loss_type=stages[0],
            stage2_loss_type=stages[1],
            input_with_ones=input_with_ones,
            disc_input_with_mask=disc_input_with_mask,
            train_cfg=train_cfg,
            sample_chunk=sample_chunk,
            **kwargs,
        )
        early = [site for site in self.noise_sites if site.startswith('stage1.')]
        if early and stages[0]:
            raise UserError(
                f'noise enters the first stage at {early[0]!r}, and '
                f'stage1_loss_type={stages[0]} would ask every sample of it to be like '
                'the data: take sites in stage2, or stage1_loss_type=None'
            )

    def drop_reconstruction(self, host: dict, keep: Collection[str]) -> list[str]:
        stage1, stage2 = host['stage1_loss_type'], host['stage2_loss_type']
        gone = [n for n in stage2 if n in self.reconstruction_terms and n not in keep]
        host['stage2_loss_type'] = tuple(name for name in stage2 if name not in gone)
        for name in gone:
            if name not in stage1:
                host[name] = None
        return [f'{name} of the second stage' for name in gone]

    def untouched_terms(self, host: dict) -> list[str]:
        coarse = [f'{name} of the first stage' for name in host['stage1_loss_type']]
        return [*super().untouched_terms(host), *coarse]

    def make_condition(self, x: Tensor) -> StagesBatch:
        batch = super().make_condition(x)
        image, mask = batch.x[:, :3], batch.mask
        ones = [torch.ones_like(mask)] if self.input_with_ones else []
        joined = torch.cat([image, *ones, mask], 1)
        return StagesBatch(joined, mask=mask, known=batch.known)

    def to_samples(self, output) -> Tensor:
        return output[1]

    def beside_samples(self, output) -> dict[str, Tensor]:
        return dict(coarse=output[0])

    def discriminate(self, network: nn.Module, batch: Batch, images: Tensor) -> Tensor:
        n, k = images.shape[:2]
        rows = images.flatten(0, 1)
        if not self.disc_input_with_mask:
            return network(rows)
        if not self.share_work:
            return network(torch.cat([rows, batch.mask.repeat_interleave(k, 0)], 1))
        with SharedForward(n, k):
            return network(torch.cat([rows, batch.mask], 1))

    def host_losses(self, batch: StagesBatch, samples: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self.stage1_loss_type:
            # One row for each input, though inputs may be repeated (share_work=False).
            coarse = batch.coarse[:: len(batch.coarse) // len(batch.y)].unsqueeze(1)
            losses |= self._terms('stage1', batch, full_precision(coarse))
        return losses | self._terms('stage2', batch, samples)

    def _terms(self, stage: str, batch: Batch, images: Tensor) -> dict[str, Tensor]:
        losses, composed = {}, self.compose(batch, images)
        for term in getattr(self, f'{stage}_loss_type'):
            name = f'{stage}_{term}'
            if term == 'loss_gan':
                continue
            loss = getattr(self, self.perceptual_terms.get(term, term), None)
            if loss is None:
                raise UserError(
                    f'{stage}_loss_type has {term!r}, and there is no such loss: give '
                    f'{term}=dict(type=...), or take it out of {stage}_loss_type'
                )
            if term in self.perceptual_terms:
                names = name, name.replace('percep', 'style')
                losses |= perceptual_losses(loss, composed, batch.y, names)
            elif term == 'loss_tv':
                mask = batch.mask.repeat_interleave(images.shape[1], 0)
                losses[name] = loss(composed.flatten(0, 1), mask=mask)
            else:
                mask = 1 - batch.mask if term == 'loss_l1_valid' else batch.mask
                some = replace(batch, mask=mask)
                losses[name] = pixel_loss(loss, some, images)
        return losses


def _check_stages(
    stage1: tuple[str, ...], stage2: tuple[str, ...], given: dict
) -> None:
    """Refuse terms that are unknown, in the wrong stage, or in none."""
    for stage, names, known in (
        ('stage1', stage1, TERMS),
        ('stage2', stage2, (*TERMS, 'loss_gan')),
    ):
        for name in names:
            if name not in known:
                raise UserError(
                    f'{stage}_loss_type: MRTwoStageInpaintor has no term {name!r} '
                    f'there{near(name, known)}; it has {", ".join(known)}'
                )
    for name in (*TERMS, 'loss_gan'):
        if given.get(name) and name not in (*stage1, *stage2):
            raise UserError(
                f'{name} is in no stage, and MMagic would not use it: name it in '
                'stage2_loss_type, or take it out'
            )
