"""What the three hosts have in common: sampling, moment losses, training steps."""

from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from mmengine import MessageHub
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmagic_mr.functional import Moments, masked_mean, variance_of
from mmagic_mr.host import MODELS
from mmagic_mr.losses import ProxyMRLoss
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.evaluation import SampleStatistics
from mmagic_mr.sampling.noise import add_noise_sites, sampling


@contextmanager
def _frozen(network: nn.Module):
    """No gradients for the network's parameters, only through it."""
    thawed = [p for p in network.parameters() if p.requires_grad]
    for parameter in thawed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in thawed:
            parameter.requires_grad_(True)


def _unwrapped(network: nn.Module) -> nn.Module:
    return network.module if is_model_wrapper(network) else network


class MomentReconstruction(SampleStatistics):
    """Mixin that gives a conditional GAN of MMagic K samples and a moment loss.

    It stands before the host in the bases. One iteration of the runner is one batch:
    one update of the generator with its first ``gen_batch_size`` inputs, and, every
    ``gen_updates_per_disc`` updates, one of the discriminator with the whole batch.

    Args:
        noise: where z enters; see :func:`mmagic_mr.sampling.noise.add_noise_sites`.
        num_samples: K, samples per input in the generator's update.
        eval_num_samples: K in validation and test; None: ``num_samples``.
        gen_batch_size: inputs of the batch that the generator's update uses; None: all.
        gen_updates_per_disc: updates of the generator per update of the discriminator.
        mr_loss: config of :class:`MRLoss` or :class:`ProxyMRLoss`. It replaces the
            host's reconstruction terms. None: they stay.
        predictor: config of :class:`MomentPredictor`; derived from the generator's
            where the loss is a proxy one and none is given.
        rec_loss: config of a pixel loss that is added to the moment loss, on every
            sample (appendix F.2).
        whiten: ``dict(mean=(r, g, b), std=(r, g, b))`` of x, in [0, 1].
        host: everything else goes to the host's constructor.

    Raises:
        ValueError: no noise with a moment loss, sizes below 1, order 2 with K = 1.

    Reference:
        Lee et al., ICLR 2019, algorithms 1 to 8.
    """

    # What a host says of itself.
    generator_arg = 'generator'  # constructor argument: config of the generator
    generator_name = 'generator'  # attribute, and key in the optimiser config
    discriminator_name = 'discriminator'
    gan_loss_name = 'gan_loss'
    reconstruction_terms = ()  # constructor arguments that `mr_loss` replaces
    image_key = 'img'  # data field in whose range the generator's output is
    input_field, target_field = 'input', 'gt_img'  # of a data sample, to be shown
    size_multiple = 1  # the sides of an input are multiples of it

    def __init__(
        self,
        *,
        noise=None,
        num_samples: int = 10,
        eval_num_samples: int | None = None,
        gen_batch_size: int | None = None,
        gen_updates_per_disc: int = 1,
        mr_loss: dict | None = None,
        predictor: dict | None = None,
        rec_loss: dict | None = None,
        whiten: dict | None = None,
        **host,
    ):
        sizes = dict(
            num_samples=num_samples,
            eval_num_samples=eval_num_samples,
            gen_batch_size=gen_batch_size,
            gen_updates_per_disc=gen_updates_per_disc,
        )
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        if mr_loss is not None:
            self._check_moment_loss(mr_loss, noise, num_samples)
            replaced = self.drop_reconstruction(host)
            print_log(
                f'{type(self).__name__}: {mr_loss["type"]} replaces '
                f'{", ".join(replaced) or "no reconstruction term"}'
                ' (rec_loss= adds one beside it)',
                'current',
            )
        generator = deepcopy(host[self.generator_arg])
        super().__init__(**host)
        self.num_samples = num_samples
        self.eval_num_samples = eval_num_samples or num_samples
        self.gen_batch_size = gen_batch_size
        self.gen_updates_per_disc = gen_updates_per_disc
        self.mr_loss = MODELS.build(mr_loss) if mr_loss else None
        self.rec_loss = MODELS.build(rec_loss) if rec_loss else None
        if noise is not None:
            for network in self.noisy_networks():
                self.noise_sites = add_noise_sites(network, noise)
        if predictor is None and isinstance(self.mr_loss, ProxyMRLoss):
            predictor = dict(type='MomentPredictor')
        self.predictor = (
            MODELS.build({'generator': generator, **predictor}) if predictor else None
        )
        self._set_whitening(whiten)
        self._predictor_checked = False

    @staticmethod
    def _check_moment_loss(mr_loss, noise, num_samples):
        if noise is None:
            raise ValueError(
                'mr_loss needs noise: without it the K samples are the '
                "same; set noise='pix2pix' (or another preset), or "
                'dict(sites={...})'
            )
        if mr_loss.get('order', 2) == 2 and num_samples < 2:
            raise ValueError(
                f'mr_loss of order 2 needs num_samples (K) >= 2, got {num_samples}'
            )

    def _set_whitening(self, whiten):
        if whiten is None:
            self.x_mean = self.x_std = None
            return
        dp = self.data_preprocessor
        mean, std = (torch.tensor(whiten[k]).view(-1, 1, 1) for k in ('mean', 'std'))
        if (std <= 0).any():
            raise ValueError(f'whiten: std must be positive, got {whiten["std"]}')
        if dp.output_channel_order != 'RGB':
            mean, std = mean.flip(0), std.flip(0)
        # In the preprocessor's range: (255 v - dp.mean) / dp.std.
        if dp._enable_normalize:
            mean = (255 * mean - dp.mean.view(-1, 1, 1)) / dp.std.view(-1, 1, 1)
            std = 255 * std / dp.std.view(-1, 1, 1)
        # Set by the config: a checkpoint neither needs nor overrides them.
        self.register_buffer('x_mean', mean, persistent=False)
        self.register_buffer('x_std', std, persistent=False)

    def whiten(self, x: Tensor) -> Tensor:
        """x as the data preprocessor gives it, to zero mean and unit variance.

        Shape:
            (N, C, H, W) to the same.
        """
        return x if self.x_mean is None else (x - self.x_mean) / self.x_std

    # -- what a host defines -------------------------------------------------------

    def drop_reconstruction(self, host: dict) -> list:
        """Take the reconstruction terms out of the host's arguments; their names."""
        terms = {name: host.get(name) for name in self.reconstruction_terms}
        host.update(dict.fromkeys(terms))
        return [f'{name} ({term["type"]})' for name, term in terms.items() if term]

    def noisy_networks(self) -> list:
        """The networks that get noise."""
        return [_unwrapped(self.generator)]

    def make_condition(self, x: Tensor) -> Batch:
        """What is sampled from, of x as the data preprocessor gives it."""
        return Batch(self.whiten(x))

    def make_batch(self, data: dict) -> Batch:
        """Preprocessed data to the tensors of one update; each host has its own."""
        raise NotImplementedError

    def generate(self, network: nn.Module, batch: Batch) -> Tensor:
        """Run the generator; the rows of the result are samples."""
        return network(batch.x)

    def compose(self, batch: Batch, samples: Tensor) -> Tensor:
        """What is shown and judged: samples, and the known image outside the mask.

        Shape:
            (N, K, C, H, W) to the same.
        """
        if batch.known is None:
            return samples
        inside = batch.mask.unsqueeze(1) > 0
        return torch.where(inside, samples, batch.known.unsqueeze(1))

    def judge(
        self, network: nn.Module, batch: Batch, images: Tensor, num_samples: int
    ) -> Tensor:
        """Logits of the discriminator for (N*K, C, H, W) images."""
        return network(images)

    def host_losses(self, batch: Batch, samples: Tensor) -> dict:
        """The host's own reconstruction terms, for ``mr_loss=None``."""
        return {}

    @property
    def moment_distribution(self) -> str | None:
        """Distribution of the predictor's moments; None without a predictor."""
        distribution = getattr(self.mr_loss, 'distribution', 'gaussian')
        return None if self.predictor is None else distribution

    # -- sampling ------------------------------------------------------------------

    def draw(self, network, batch: Batch, num_samples: int, **source) -> Tensor:
        """Samples as the generator gives them; see `sampling`.

        Shape:
            N rows of ``batch`` to (N, K, C, H, W).
        """
        n = len(batch.x)
        with sampling(n, num_samples, **source) as shared:
            rows = shared.expand(self.generate(network, batch))
        return rows.unflatten(0, (n, num_samples))

    def sample(
        self,
        x: Tensor,
        num_samples: int | None = None,
        z: dict | None = None,
        seed=None,
        keep: dict | None = None,
    ) -> Tensor:
        """Draw K samples for each input.

        Args:
            x: condition as the data preprocessor gives it.
            num_samples: K; None: ``eval_num_samples``.
            z: the noise itself, site name to (N, K, channels, h, w).
            seed: an integer (the same z for every input), or one for each input. The
                samples of an input depend on x and its seed alone (in eval mode).
                Neither z nor seed: fresh noise.
            keep: a dict that gets the noise used, in the form of ``z``.

        Returns:
            Samples, in the range of the network's output.

        Raises:
            ValueError: both z and seed; z of another shape or without a site; as many
                seeds as inputs are not given.

        Shape:
            x (N, C, H, W) to (N, K, C', H', W').
        """
        return self.sample_batch(
            self.make_condition(x), num_samples, z=z, seed=seed, keep=keep
        )

    def sample_batch(
        self, batch: Batch, num_samples: int | None = None, z=None, seed=None, keep=None
    ) -> Tensor:
        """:meth:`sample` for what :meth:`make_batch` makes."""
        if z is not None and seed is not None:
            raise ValueError('give z or seed, not both')
        n = len(batch.x)
        seeds = [seed] * n if isinstance(seed, int) else seed
        if seeds is not None and len(seeds) != n:
            raise ValueError(f'{len(seeds)} seeds for {n} inputs')
        network = _unwrapped(getattr(self, self.generator_name))
        samples = self.draw(
            network,
            batch,
            num_samples or self.eval_num_samples,
            z=z,
            seeds=seeds,
            seed_device='cpu',
            keep=keep,
        )
        return self.compose(batch, samples)

    def predict_moments(self, x: Tensor) -> Moments | None:
        """The predictor's center and dispersion; None without a predictor.

        Shape:
            x (N, C, H, W), as the data preprocessor gives it, to two (N, C', H', W').
        """
        return self._predict(self.make_condition(x))

    def _predict(self, batch: Batch) -> Moments | None:
        # What is known has no dispersion.
        if self.predictor is None:
            return None
        center, dispersion = self.predictor.moments(batch.x)
        center = self.compose(batch, center.unsqueeze(1)).squeeze(1)
        if batch.known is not None:
            dispersion = dispersion * (batch.mask > 0)
        return Moments(center, dispersion)

    def _variance(self, moments: Moments) -> Tensor:
        distribution = getattr(self.mr_loss, 'distribution', 'gaussian')
        return variance_of(moments, distribution)

    # -- training ------------------------------------------------------------------

    def train_step(self, data: dict, optim_wrapper) -> dict:
        """One iteration: see the class. Returns the values to log."""
        self._check_predictor()
        batch = self.make_batch(self.data_preprocessor(data, True))
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        logs = {}
        adversarial = self.adversarial and self.is_adversarial(iteration)
        if adversarial:
            wrapper = optim_wrapper[self.discriminator_name]
            turn = iteration // wrapper._accumulative_counts
            if turn % self.gen_updates_per_disc == 0:
                logs.update(self._update_discriminator(batch, wrapper, iteration))
        if self.is_generator_turn(iteration):
            wrapper = optim_wrapper[self.generator_name]
            logs.update(
                self._update_generator(
                    batch.first(self.gen_batch_size), wrapper, iteration, adversarial
                )
            )
        return logs

    @property
    def adversarial(self) -> bool:
        """Whether there is a GAN loss (weight 0 counts as none: appendix F.1)."""
        loss = getattr(self, self.gan_loss_name, None)
        network = getattr(self, self.discriminator_name, None)
        return loss is not None and network is not None and loss.loss_weight > 0

    def is_adversarial(self, iteration: int) -> bool:
        """Whether the host's schedule has a GAN loss now."""
        return True

    def is_generator_turn(self, iteration: int) -> bool:
        """Whether the host's schedule updates the generator now."""
        return True

    def _check_predictor(self):
        if self._predictor_checked or self.predictor is None:
            return
        if not bool(self.predictor.trained):
            raise RuntimeError(
                'the predictor was never trained, and the loss compares with what it '
                'says: add dict(type="PredictorPretrainHook", max_iters=..., '
                'val_interval=..., patience=...) to custom_hooks, or give the hook '
                'checkpoint=FILE of one that is'
            )
        self._predictor_checked = True

    def _train_seeds(self, n: int, iteration: int, purpose: int) -> list[int]:
        # Noise is a function of the run's seed, the iteration and the place in the
        # global batch: a resumed run draws what an uninterrupted one would have.
        entropy = np.random.SeedSequence((torch.initial_seed(), iteration, purpose))
        words = entropy.generate_state(n * get_world_size(), np.uint64)
        return words[n * get_rank() : n * (get_rank() + 1)].tolist()

    def _update_discriminator(self, batch: Batch, wrapper, iteration: int) -> dict:
        network = getattr(self, self.discriminator_name)
        gan_loss = getattr(self, self.gan_loss_name)
        generator = _unwrapped(getattr(self, self.generator_name))
        with wrapper.optim_context(network):
            with torch.no_grad():
                seeds = self._train_seeds(len(batch.x), iteration, purpose=0)
                fake = self.draw(
                    generator, batch, 1, seeds=seeds, seed_device=batch.x.device
                )
                fake = self.compose(batch, fake).flatten(0, 1)
            loss_fake = gan_loss(self.judge(network, batch, fake, 1), False, True)
            loss_real = gan_loss(self.judge(network, batch, batch.y, 1), True, True)
        wrapper.update_params((loss_real + loss_fake) / 2)
        return dict(loss_d_real=loss_real.detach(), loss_d_fake=loss_fake.detach())

    def _update_generator(
        self, batch: Batch, wrapper, iteration: int, adversarial: bool
    ) -> dict:
        network = getattr(self, self.generator_name)
        seeds = self._train_seeds(len(batch.x), iteration, purpose=1)
        with wrapper.optim_context(network):
            samples = self.draw(
                network,
                batch,
                self.num_samples,
                seeds=seeds,
                seed_device=batch.x.device,
            )
            moments = self.predictor.moments(batch.x) if self.predictor else None
            losses = self.generator_losses(batch, samples, moments, adversarial)
        loss, logs = self.parse_losses(losses)
        wrapper.update_params(loss)
        del logs['loss']  # Of the generator alone: no name for it in the log.
        with torch.no_grad():
            if self.num_samples > 1:
                variance = samples.float().var(1)
                logs['sample_std'] = masked_mean(variance, batch.mask).sqrt()
            if moments is not None:
                variance = self._variance(moments)
                logs['pred_std'] = masked_mean(variance, batch.mask).sqrt()
        return logs

    def generator_losses(
        self,
        batch: Batch,
        samples: Tensor,
        moments: Moments | None,
        adversarial: bool = True,
    ) -> dict:
        """Terms of the generator's loss, by the name that the log shows.

        Args:
            batch: N inputs.
            samples: (N, K, C, H, W), as the generator gives them.
            moments: what the predictor says; needed by a proxy loss alone.
            adversarial: with the GAN loss, if there is one.
        """
        losses = {}
        if adversarial and self.adversarial:
            images = self.compose(batch, samples).flatten(0, 1)
            discriminator = _unwrapped(getattr(self, self.discriminator_name))
            with _frozen(discriminator):
                logits = self.judge(discriminator, batch, images, samples.shape[1])
            losses['loss_gan_g'] = getattr(self, self.gan_loss_name)(
                logits, True, is_disc=False
            )
        if self.mr_loss is None:
            losses.update(self.host_losses(batch, samples))
        else:
            is_proxy = isinstance(self.mr_loss, ProxyMRLoss)
            target = moments if is_proxy else batch.y
            losses['loss_mr'] = self.mr_loss(samples, target, batch.mask)
        if self.rec_loss is not None:
            losses['loss_rec'] = self.pixel_loss_of(self.rec_loss, batch, samples)
        return losses

    @staticmethod
    def pixel_loss_of(loss: nn.Module, batch: Batch, samples: Tensor) -> Tensor:
        """A pixel loss of MMagic, on every sample: (N, K, C, H, W) to a scalar."""
        k = samples.shape[1]
        weight = None if batch.mask is None else batch.mask.repeat_interleave(k, 0)
        return loss(samples.flatten(0, 1), batch.y.repeat_interleave(k, 0), weight)

    def init_weights(self) -> None:
        super().init_weights()
        if self.predictor is not None:
            self.predictor.init_weights()
