"""Training against a discriminator: the terms of both sides, and whose turn it is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, final

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmagic_mr.checks import Count, Positive, check_kind, checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import Moments, over_all_processes
from mmagic_mr.functional.checks import full_precision
from mmagic_mr.host import accumulation, unwrap
from mmagic_mr.models import arguments
from mmagic_mr.models.balance import is_automatic
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.chunks import batch_norms, in_chunks, slices
from mmagic_mr.models.compiling import compile_parts
from mmagic_mr.models.gradient_penalty import gradient_penalty
from mmagic_mr.models.reconstruction import MomentReconstruction
from mmagic_mr.models.sampler import is_chunked


class MomentGAN(MomentReconstruction):
    """A host with a discriminator.

    One iteration of the runner is one batch: one update of the generator with its first
    ``gen_batch_size`` inputs, and, every ``gen_updates_per_disc`` updates, one of the
    discriminator with the whole batch.

    Args:
        gen_updates_per_disc: Updates of the generator per update of the discriminator.
        gradient_penalty: ``dict(weight=10.0)``: WGAN-GP's term of the discriminator,
            ``loss_gp`` in the log; beside a GAN loss with ``gan_type='wgan'``.
        kwargs: Those of `MomentReconstruction` and of MMagic's class.
    """

    # -- what a host declares and may override -------------------------------------

    discriminator_name: ClassVar[str] = 'discriminator'  # attribute; optim_wrapper key
    gan_loss_name: ClassVar[str] = 'gan_loss'
    # Of the sum of discriminator_losses; the paper's is half the sum of real and fake.
    discriminator_weight: ClassVar[float] = 0.5

    def discriminate(self, network: nn.Module, batch: Batch, images: Tensor) -> Tensor:
        """Logits of the discriminator for images (N, K, C, H, W), in N*K rows."""
        return network(images.flatten(0, 1))

    def adversarial_loss(self, batch: Batch, images: Tensor) -> Tensor:
        """The generator's term, of composed samples (N, K, C, H, W).

        Gradients do not reach the discriminator's parameters.
        """
        logits = self.logits(self.bare_discriminator, batch, images)
        return self.adversary(logits, True, is_disc=False)

    def discriminator_losses(
        self, batch: Batch, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """The discriminator's terms, of images (N, 1, C, H, W), without a graph."""
        network = getattr(self, self.discriminator_name)
        loss_fake = self.adversary(
            self.logits(network, batch, fake), False, is_disc=True
        )
        loss_real = self.adversary(
            self.logits(network, batch, real), True, is_disc=True
        )
        return dict(loss_d_real=loss_real, loss_d_fake=loss_fake)

    def real_images(self, batch: Batch) -> Tensor:
        """What the discriminator is shown as real, (N, C, H, W)."""
        return batch.y

    def is_adversarial(self, iteration: int) -> bool:
        """Whether the host's schedule has a GAN loss now."""
        return True

    def generator_turn(self, iteration: int) -> int | None:
        """Number of the generator's update in this iteration; None: it has none."""
        return iteration

    # -- what it gets --------------------------------------------------------------

    @checked
    def __init__(
        self,
        *,
        gen_updates_per_disc: Count = 1,
        gradient_penalty: dict | None = None,
        **kwargs,
    ):
        if gradient_penalty is not None:
            arguments.check_names('gradient_penalty', gradient_penalty, ('weight',))
            weight = gradient_penalty.get('weight')
            check_kind('gradient_penalty: weight', weight, Positive)
        super().__init__(**kwargs)
        self.gen_updates_per_disc = gen_updates_per_disc
        self.penalty_weight = gradient_penalty and gradient_penalty['weight']
        self._penalty_checked = False
        self._compile_discriminator()

    @property
    def adversary(self) -> nn.Module | None:
        """The GAN loss."""
        return getattr(self, self.gan_loss_name, None)

    @property
    def bare_discriminator(self) -> nn.Module | None:
        """Without the wrapper of a distributed run, which has its own backward pass."""
        network = getattr(self, self.discriminator_name, None)
        return None if network is None else unwrap(network)

    @property
    def adversarial(self) -> bool:
        """Whether there is a GAN loss (weight 0 counts as none: appendix F.1)."""
        return (
            self.adversary is not None
            and self.bare_discriminator is not None
            and self.adversary.loss_weight > 0
        )

    @final
    def logits(self, network: nn.Module, batch: Batch, images: Tensor) -> Tensor:
        """`discriminate` in float32, in chunks where the config says so."""
        chunk, k = self.sample_chunk, images.shape[1]
        if chunk is None or chunk >= k or not images.requires_grad:
            return self._judged(network, batch, images)
        if batch_norms(network):  # see `_warn_of_chunks`
            return self._judged(network, batch, images)

        def run(part: slice, some: Tensor) -> Tensor:
            return self._judged(network, batch, some).unflatten(0, some.shape[:2])

        return in_chunks(run, network, slices(k, chunk), images).flatten(0, 1)

    def _warn_of_chunks(self) -> None:
        super()._warn_of_chunks()
        network = self.bare_discriminator
        if network is not None and batch_norms(network) and is_chunked(self):
            print_log(
                f'sample_chunk={self.sample_chunk}: {type(network).__name__} has batch '
                'normalization and judges all samples at once, as without chunks: its '
                "memory grows with num_samples; norm_cfg=dict(type='IN') mends that",
                'current',
                logging.WARNING,
            )

    def _judged(self, network: nn.Module, batch: Batch, images: Tensor) -> Tensor:
        with self._lean():
            return full_precision(self.discriminate(network, batch, images))

    def generator_losses(
        self,
        batch: Batch,
        samples: Tensor,
        moments: Moments | None = None,
        noise: dict[str, Tensor] | None = None,
        update: int = 0,
        adversarial: bool = True,
    ) -> dict[str, Tensor]:
        """As for every host, and the GAN's term where there is one.

        Args:
            batch, samples, moments, noise, update: See `MomentReconstruction`.
            adversarial: Whether the schedule has a GAN loss now.
        """
        losses = {}
        if adversarial and self.adversarial:
            with _frozen(self.bare_discriminator):
                images = self.compose(batch, samples)
                losses['loss_gan_g'] = self.adversarial_loss(batch, images)
        others = super().generator_losses(batch, samples, moments, noise, update)
        return losses | others

    def forward(self, *args, **kwargs):
        """MMagic's; in training, `train_step` is what is called."""
        if kwargs.get('mode') == 'loss':
            raise UserError(
                f'{type(self).__name__} updates two networks in turn, and what it is '
                "wrapped in asks for one loss (forward(mode='loss')), as mmengine's "
                'wrappers of a whole model do: DDP, FSDP, DeepSpeed. Set '
                "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel'), "
                'and no strategy'
            )
        return super().forward(*args, **kwargs)

    @final
    def train_step(self, data: dict, optim_wrapper) -> dict:
        """One iteration: see the class. Returns the values to log."""
        self._check_predictor()
        self._check_balance()
        self._check_penalty()
        batch = self.make_batch(self.data_preprocessor(data, True))
        iteration = self._next_iteration()
        self._check_inputs(batch, iteration)
        adversarial = self.adversarial and self.is_adversarial(iteration)
        logs = {}
        if adversarial:
            wrapper = optim_wrapper[self.discriminator_name]
            turn = iteration // accumulation(wrapper)
            if turn % self.gen_updates_per_disc == 0:
                logs.update(self._update_discriminator(batch, wrapper, iteration))
        turn = self.generator_turn(iteration)
        if turn is not None:
            wrapper = optim_wrapper[self.generator_name]
            update = turn // accumulation(wrapper)
            first = batch.first(self.gen_batch_size)
            logs.update(
                self._update_generator(first, wrapper, iteration, update, adversarial)
            )
        return logs

    def _compile_discriminator(self) -> None:
        network = self.bare_discriminator
        if self.compile_options is None or network is None:
            return
        if self.penalty_weight:
            print_log(
                'compile: the discriminator runs as it is: its gradient penalty needs '
                'second derivatives, which torch.compile has not',
                'current',
            )
            return
        compile_parts(network, self.discriminator_name, self.compile_options)

    def _check_balance(self) -> None:
        automatic = [
            n for n, x in unwrap(self.sample_losses).items() if is_automatic(x)
        ]
        if automatic and not self.adversarial:
            raise UserError(
                f'sample_losses: {automatic[0]!r} has loss_weight="auto", which is a '
                'balance against the GAN, and there is no GAN loss: give it a number'
            )

    def _update_discriminator(self, batch: Batch, wrapper, iteration: int) -> dict:
        generator = unwrap(getattr(self, self.generator_name))
        network, total = getattr(self, self.discriminator_name), len(batch.x)
        share = self._share()
        mine = slice(None) if share is None else share.rows(total)
        batch = batch.rows(mine)
        with wrapper.optim_context(network), over_all_processes():
            with torch.no_grad():
                seeds = self._train_seeds(total, iteration, purpose=0)[mine]
                fake = self.draw(
                    generator, batch, 1, seeds=seeds, seed_device=batch.x.device
                )
                fake = self.compose(batch, fake)
            real = self.real_images(batch).unsqueeze(1)
            losses = self.discriminator_losses(batch, real, fake)
            if self.penalty_weight:
                seeds = self._train_seeds(total, iteration, purpose=2)[mine]
                losses['loss_gp'] = self._penalty(batch, real, fake, seeds)
        wrapper.update_params(self.discriminator_weight * sum(losses.values()))
        return {name: loss.detach() for name, loss in losses.items()}

    def _penalty(self, batch: Batch, real, fake, seeds: list[int]) -> Tensor:
        generators = (torch.Generator().manual_seed(seed) for seed in seeds)
        share = torch.stack([torch.rand((), generator=g) for g in generators])
        mask = None if batch.mask is None else batch.mask.unsqueeze(1)
        network = self.bare_discriminator
        return self.penalty_weight * gradient_penalty(
            lambda images: self.discriminate(network, batch, images),
            *(real, fake, share.to(real.device, non_blocking=True), mask),
        )

    def _check_penalty(self) -> None:
        if self._penalty_checked or not self.penalty_weight:
            return
        self._penalty_checked = True
        if not self.adversarial:
            raise UserError(
                f'gradient_penalty=dict(weight={self.penalty_weight}) is of the '
                'discriminator, and there is no GAN loss (or its loss_weight is 0): '
                'take it out'
            )
        if any(isinstance(m, _BatchNorm) for m in self.bare_discriminator.modules()):
            print_log(
                'gradient_penalty: the discriminator has batch normalization, so that '
                "an image's gradient depends on the others; take norm_cfg=None or "
                "dict(type='IN') for it",
                'current',
                logging.WARNING,
            )

    def _update_generator(
        self, batch: Batch, wrapper, iteration: int, update: int, adversarial: bool
    ) -> dict:
        network = getattr(self, self.generator_name)
        with wrapper.optim_context(network):
            losses, spread = self._generator_step(
                network, batch, iteration, update, adversarial=adversarial
            )
        loss, logs = self.parse_losses(losses)
        wrapper.update_params(loss)
        del logs['loss']  # Of the generator alone: no name for it in the log.
        return logs | spread


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the network's parameters, only through it."""
    thawed = [p for p in network.parameters() if p.requires_grad]
    for parameter in thawed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in thawed:
            parameter.requires_grad_(True)
