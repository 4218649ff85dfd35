"""Pix2Pix that draws many samples."""

import re
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mmagic_mr.checks import Count, Natural, NotNegative, checked
from mmagic_mr.data.image_inputs import PairInput
from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, DataSample, Pix2Pix, eval_mode, target_domain, unwrap
from mmagic_mr.models import arguments
from mmagic_mr.models.arguments import build
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.gan import MomentGAN
from mmagic_mr.models.host_terms import pixel_loss
from mmagic_mr.sampling import SharedForward


class DomainNetworks(nn.ModuleDict):
    """One network for each target domain, callable.

    MMagic keeps a plain ``ModuleDict`` and calls its items. Under DDP that goes past
    the wrapper, and gradients are never synchronized; a call of this one does not.
    """

    def forward(self, *inputs: Tensor, domain: str) -> Tensor:
        return self[domain](*inputs)


def innermost_decoder(generator: nn.Module) -> dict[str, int]:
    """The three innermost decoder convolutions: 1x1, 2x2, 4x4 at 256x256."""
    decoder = [
        name
        for name, module in generator.named_modules()
        if isinstance(module, nn.ConvTranspose2d)
    ]
    return {re.escape(name): 32 for name in decoder[:3]}


@MODELS.register_module()
class MRPix2Pix(MomentGAN, Pix2Pix):
    """Pix2Pix with K samples per input and losses on the samples.

    They replace ``loss_config.pixel_loss_weight`` (the L1 term).

    Args:
        gan_loss: Config of MMagic's ``GANLoss``; ``loss_weight=0``: no discriminator
            in the training at all (appendix F.1).
        kwargs: Those of `MomentGAN`, `MomentReconstruction` and MMagic's ``Pix2Pix``.

    Reference:
        Isola et al., "Image-to-Image Translation with Conditional Adversarial
        Networks", CVPR 2017; Lee et al., ICLR 2019.
    """

    mmagic_class = Pix2Pix
    generator_name = 'generators'
    discriminator_name = 'discriminators'
    reconstruction_terms = ('pixel_loss_weight',)  # in loss_config
    used_arguments = (
        'generator',
        'discriminator',
        'default_domain',
        'reachable_domains',
        'related_domains',
        'data_preprocessor',
        'discriminator_steps',
        'disc_init_steps',
        'loss_config',
    )
    image_input = PairInput()
    noise_presets = MappingProxyType({'pix2pix': innermost_decoder})

    @checked
    def __init__(
        self,
        *,
        gan_loss: dict | None = None,
        loss_config: dict[str, NotNegative] | None = None,
        discriminator_steps: Count = 1,
        disc_init_steps: Natural = 0,
        **kwargs,
    ):
        unknown = set(loss_config or {}) - {'pixel_loss_weight'}
        if unknown:
            raise UserError(
                f'loss_config: MRPix2Pix does not use {", ".join(sorted(unknown))}; it '
                'has pixel_loss_weight'
            )
        arguments.check_weights(dict(gan_loss=gan_loss))
        super().__init__(
            loss_config=loss_config or {},
            discriminator_steps=discriminator_steps,
            disc_init_steps=disc_init_steps,
            **kwargs,
        )
        self.size_multiple = 2 ** kwargs['generator'].get('num_down', 0)
        defaults = dict(type='GANLoss', gan_type='vanilla')
        self.gan_loss = build('gan_loss', {**defaults, **(gan_loss or {})})
        self.pixel_loss = MODELS.build(dict(type='L1Loss'))
        self.target_domain = target_domain(self)
        (self.source_domain,) = self.get_other_domains(self.target_domain)
        self.input_field = f'img_{self.source_domain}'
        self.target_field = self.image_key = f'img_{self.target_domain}'

    def init_weights(self) -> None:
        # Not `super()`: MMagic's writes a line per parameter to the log, of values
        # that it takes before the initialization (its issue 2109 hides that).
        networks = [*unwrap(self.generators).values()]
        if self.discriminators is not None:
            networks += unwrap(self.discriminators).values()
        if self.predictor is not None:
            networks.append(self.predictor)
        for network in networks:
            network.init_weights()
        self.reset_noise()

    def prepare_networks(self) -> None:
        self.generators = DomainNetworks(self.generators)
        if self.discriminators is not None:
            self.discriminators = DomainNetworks(self.discriminators)

    def drop_reconstruction(self, host: dict, keep: tuple[str, ...]) -> list[str]:
        loss_config = dict(host.get('loss_config') or {})
        weight = loss_config.get('pixel_loss_weight', 100)
        if not weight or 'pixel_loss_weight' in keep:
            return []
        host['loss_config'] = {**loss_config, 'pixel_loss_weight': 0}
        return [f'loss_config.pixel_loss_weight={weight} (L1)']

    def noisy_networks(self) -> list[nn.Module]:
        return list(unwrap(self.generators).values())

    def make_batch(self, data: dict) -> Batch:
        inputs = data['inputs']
        x = inputs[f'img_{self.source_domain}']
        return Batch(self.normalize(x), inputs[f'img_{self.target_domain}'])

    def generate(self, network: nn.Module, x: Tensor) -> Tensor:
        return network(x, domain=self.target_domain)

    def discriminate(self, network: nn.Module, batch: Batch, images: Tensor) -> Tensor:
        n, k = images.shape[:2]
        rows = images.flatten(0, 1)
        if not self.share_work:
            pairs = torch.cat([batch.x.repeat_interleave(k, 0), rows], 1)
            return network(pairs, domain=self.target_domain)
        with SharedForward(n, k):
            return network(torch.cat([batch.x, rows], 1), domain=self.target_domain)

    def generator_turn(self, iteration: int) -> int | None:
        turn, waiting = divmod(iteration + 1, self.discriminator_steps)
        if waiting or iteration < self.disc_init_steps:
            return None
        return turn - 1

    def host_losses(self, batch: Batch, samples: Tensor) -> dict[str, Tensor]:
        if not self.pixel_loss_weight:
            return {}
        l1 = pixel_loss(self.pixel_loss, batch, samples)
        return dict(loss_pixel=self.pixel_loss_weight * l1)

    def add_host_fields(self, output: DataSample, x) -> None:
        output.set_tensor_data({f'fake_{self.target_domain}': output.samples[0]})

    def forward_test(self, img: Tensor, target_domain: str, **kwargs) -> dict:
        """MMagic's interface: one sample for each image, in evaluation mode.

        Shape:
            img (N, C, H, W); ``source`` and ``target`` of the result likewise.
        """
        with eval_mode(self):
            target = self.sample(img, num_samples=1).squeeze(1)
        return dict(source=img, target=target)
