"""Pix2Pix that draws many samples."""

import torch
from torch import Tensor, nn

from mmagic_mr.data.image_inputs import PairInput
from mmagic_mr.host import MODELS, DataSample, Pix2Pix
from mmagic_mr.models.base import Batch, MomentReconstruction, _unwrapped
from mmagic_mr.sampling.sharing import SharedForward


class DomainNetworks(nn.ModuleDict):
    """One network for each target domain, callable.

    MMagic keeps a plain ``ModuleDict`` and calls its items. Under DDP that goes past
    the wrapper, and gradients are never synchronised; a call of this one does not.
    """

    def forward(self, *inputs, domain: str) -> Tensor:
        return self[domain](*inputs)


@MODELS.register_module()
class MRPix2Pix(MomentReconstruction, Pix2Pix):
    """Pix2Pix with K samples per input and a moment reconstruction loss.

    Args:
        gan_loss: config of MMagic's ``GANLoss``; ``loss_weight=0``: no discriminator
            in the training at all (appendix F.1).
        kwargs: those of :class:`MomentReconstruction` and of MMagic's ``Pix2Pix``.

    ``mr_loss`` replaces ``loss_config.pixel_loss_weight`` (the L1 term).

    Reference:
        Isola et al., "Image-to-Image Translation with Conditional Adversarial
        Networks", CVPR 2017; Lee et al., ICLR 2019.
    """

    generator_name = 'generators'
    discriminator_name = 'discriminators'
    image_input = PairInput()

    def __init__(self, *, gan_loss: dict | None = None, **kwargs):
        super().__init__(**kwargs)
        self.size_multiple = 2 ** kwargs['generator'].get('num_down', 0)
        gan_loss = gan_loss or {}
        self.gan_loss = MODELS.build(
            {'type': 'GANLoss', 'gan_type': 'vanilla', **gan_loss}
        )
        self.pixel_loss = MODELS.build(dict(type='L1Loss'))
        self.generators = DomainNetworks(self.generators)
        if self.discriminators is not None:
            self.discriminators = DomainNetworks(self.discriminators)
        self.target_domain = self._default_domain
        (self.source_domain,) = self.get_other_domains(self.target_domain)
        self.input_field = f'img_{self.source_domain}'
        self.target_field = f'img_{self.target_domain}'

    @property
    def image_key(self) -> str:
        return f'img_{self.target_domain}'

    def init_weights(self) -> None:
        # Not `super()`: MMagic's writes a line per parameter to the log, of values
        # that it takes before the initialisation (its issue 2109 hides that).
        networks = [*_unwrapped(self.generators).values()]
        if self.discriminators is not None:
            networks += _unwrapped(self.discriminators).values()
        if self.predictor is not None:
            networks.append(self.predictor)
        for network in networks:
            network.init_weights()

    def drop_reconstruction(self, host: dict) -> list:
        loss_config = dict(host.get('loss_config') or {})
        weight = loss_config.get('pixel_loss_weight', 100)
        host['loss_config'] = {**loss_config, 'pixel_loss_weight': 0}
        return [f'loss_config.pixel_loss_weight={weight} (L1)'] if weight else []

    def noisy_networks(self) -> list:
        return list(_unwrapped(self.generators).values())

    def make_batch(self, data: dict) -> Batch:
        inputs = data['inputs']
        return Batch(
            self.whiten(inputs[f'img_{self.source_domain}']),
            inputs[f'img_{self.target_domain}'],
        )

    def generate(self, network: nn.Module, batch: Batch) -> Tensor:
        return network(batch.x, domain=self.target_domain)

    def judge(
        self, network: nn.Module, batch: Batch, images: Tensor, num_samples: int
    ) -> Tensor:
        with SharedForward(len(batch.x), num_samples):
            return network(torch.cat([batch.x, images], 1), domain=self.target_domain)

    def is_generator_turn(self, iteration: int) -> bool:
        return (
            iteration + 1
        ) % self.discriminator_steps == 0 and iteration >= self.disc_init_steps

    def host_losses(self, batch: Batch, samples: Tensor) -> dict:
        if not self.pixel_loss_weight:
            return {}
        l1 = self.pixel_loss_of(self.pixel_loss, batch, samples)
        return dict(loss_pixel=self.pixel_loss_weight * l1)

    def add_host_fields(self, output: DataSample, x) -> None:
        output.set_tensor_data({f'fake_{self.target_domain}': output.samples[0]})

    def forward_test(self, img: Tensor, target_domain: str, **kwargs) -> dict:
        """MMagic's interface: one sample for each image, in evaluation mode.

        Shape:
            img (N, C, H, W); ``source`` and ``target`` of the result likewise.
        """
        with self._eval_mode():
            target = self.sample(img, num_samples=1).squeeze(1)
        return dict(source=img, target=target)
