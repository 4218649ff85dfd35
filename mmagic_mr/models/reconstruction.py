"""Samples, their losses, and the parts of a training step: the same for all hosts."""

import logging
from copy import deepcopy
from typing import final

import numpy as np
import torch
from mmengine import MessageHub
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from torch import Tensor, nn

from mmagic_mr.checks import Count, Ratio, check_kind, checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import Moments, masked_mean, variance_of
from mmagic_mr.host import unwrap
from mmagic_mr.models import arguments
from mmagic_mr.models.arguments import build
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.compiling import compile_parts
from mmagic_mr.models.ema import AveragedGenerator
from mmagic_mr.models.input_norm import InputNorm
from mmagic_mr.models.memory_format import use_channels_last
from mmagic_mr.models.sampler import Sampler
from mmagic_mr.sampling import add_noise_sites


class MomentReconstruction(Sampler):
    """Mixin that gives a model of MMagic K samples per input and sample losses.

    It stands before MMagic's class in the bases. `MomentGAN` adds what hosts with a
    discriminator share.

    Args:
        noise: Where z enters: the name of one of the host's ``noise_presets``, or a
            dict, see `mmagic_mr.sampling.add_noise_sites`.
        num_samples: K, samples per input in the generator's update. None: 10, or 1
            without noise.
        eval_num_samples: K in validation and test; None: ``num_samples``.
        gen_batch_size: Inputs of the batch that the generator's update uses; None: all.
        sample_losses: Configs of losses on the K samples, by name; each is logged as
            ``loss_<name>``. They replace the host's reconstruction terms.
        mr_loss: Short for ``sample_losses=dict(mr=...)``.
        keep: Names of the host's reconstruction terms that stay beside them.
        balance: For losses with ``loss_weight='auto'``: norm of their gradient in the
            samples over that of the GAN; or the arguments of `Balance`.
        rec_loss: Config of a pixel loss that is added, on every sample (appendix F.2).
        predictor: Config of `MomentPredictor`; by default derived from the generator's
            where a loss asks for predicted moments.
        input_norm: ``dict(mean=(r, g, b), std=(r, g, b))`` of x, in [0, 1].
        share_work: Compute once per input what its samples have in common. False: the
            inputs are repeated, for networks that this does not suit.
        sample_chunk: Samples of an input that the generator's update computes at a
            time, twice each: memory is that of so many, see `mmagic_mr.models.chunks`.
            None: all at once.
        recompute: Normalizations and activations are computed again in the backward
            pass, where PyTorch keeps them, see `mmagic_mr.sampling.LeanBackward`.
        ema: ``dict(decay=0.999)``: validation, test and tools sample from an average of
            the generator over its updates, see `AveragedGenerator`.
        channels_last: Images lie in memory with their channels together, as the
            convolutions of CPUs and of GPUs with tensor cores prefer it. Results are
            the same to rounding.
        compile: ``torch.compile`` the parts of generator and discriminator that hold no
            noise, see `compile_parts`; or its options, ``dict(backend=..., mode=...)``.
        whiten: Old name of ``input_norm``.
        host: Everything else goes to MMagic's constructor; what the host would not use
            is refused.

    Raises:
        UserError: An argument that is not used, or has a wrong value; K below what a
            loss needs; sample losses without noise.

    Reference:
        Lee, Ha and Kim, ICLR 2019, algorithms 1 to 8.
    """

    @checked
    def __init__(
        self,
        *,
        noise: dict | str | None = None,
        num_samples: Count | None = None,
        eval_num_samples: Count | None = None,
        gen_batch_size: Count | None = None,
        sample_losses: dict[str, dict] | None = None,
        mr_loss: dict | None = None,
        keep: tuple[str, ...] = (),
        balance: float | dict = 1.0,
        rec_loss: dict | None = None,
        predictor: dict | None = None,
        input_norm: dict | None = None,
        share_work: bool = True,
        sample_chunk: Count | None = None,
        recompute: bool = True,
        ema: dict | None = None,
        channels_last: bool = False,
        compile: bool | dict = False,
        whiten: dict | None = None,
        **host,
    ):
        if whiten is not None:
            if input_norm is not None:
                raise UserError('give input_norm or whiten (its old name), not both')
            print_log('whiten is now input_norm: rename it', 'current', logging.WARNING)
            input_norm = whiten
        losses = arguments.loss_configs(mr_loss, sample_losses)
        if noise is None and (losses or (num_samples or 1) > 1):
            raise UserError(
                f'{type(self).__name__}: without noise the K samples are the same: set '
                f'noise={" or ".join(map(repr, self.noise_presets)) or "..."}, or '
                'dict(sites={...})'
            )
        options = arguments.compile_options(compile)
        used = (*self.used_arguments, *self.reconstruction_terms)
        arguments.check_host_arguments(type(self), used, host)
        arguments.check_weights(dict(host, rec_loss=rec_loss))
        self._replace_reconstruction(losses, tuple(keep), host)
        generator = deepcopy(host[self.generator_arg])
        super().__init__(**host)
        self.prepare_networks()

        self.num_samples = num_samples or (1 if noise is None else 10)
        self.eval_num_samples = eval_num_samples or self.num_samples
        self.gen_batch_size = gen_batch_size
        self.share_work = share_work
        self.sample_chunk, self.recompute = sample_chunk, recompute
        self._said: set[str] = set()
        self.noise_sites: list[str] = []
        if noise is not None:
            for network in self.noisy_networks():
                self.noise_sites = add_noise_sites(network, noise, self.noise_presets)
        self.averaged_generator = self._build_average(ema)
        built = {name: build('sample_losses: ' + name, c) for name, c in losses.items()}
        for name, loss in built.items():
            arguments.check_sample_loss(name, loss, self.num_samples)
            arguments.tell_colors(loss, self.data_preprocessor)
        self.sample_losses = nn.ModuleDict(built)
        self.balance = arguments.build_balance(type(self), balance, built)
        self.rec_loss = None if rec_loss is None else build('rec_loss', rec_loss)
        self.moment_distribution = arguments.moment_distribution(built)
        views = arguments.moment_views(built)
        self.predictor = self._build_predictor(predictor, generator, views)
        self.input_norm = None
        if input_norm is not None:
            arguments.check_names('input_norm', input_norm, ('mean', 'std'))
            if len(input_norm) < 2:
                raise UserError(f'input_norm must have mean and std, got {input_norm}')
            self.input_norm = InputNorm(
                **input_norm, preprocessor=self.data_preprocessor
            )
        self._predictor_checked = False
        self._runner_iter, self._iter = None, -1
        if channels_last:
            use_channels_last(self)
        self.compile_options = options
        if options is not None:
            network = getattr(self, self.generator_name)
            compile_parts(network, self.generator_name, options)

    def _replace_reconstruction(self, losses, keep, host) -> None:
        unknown = sorted(set(keep) - set(self.reconstruction_terms))
        if unknown:
            raise UserError(
                f'keep={list(keep)}: {type(self).__name__} has no reconstruction term '
                f'{", ".join(unknown)}; there are {list(self.reconstruction_terms)}'
            )
        if not losses:
            if keep:
                raise UserError(
                    f'keep={list(keep)} without sample_losses: nothing is replaced, '
                    'all terms stay'
                )
            return
        replaced = self.drop_reconstruction(host, keep)
        types = ', '.join(config['type'] for config in losses.values())
        kept = f'; {", ".join(keep)} stays' if keep else ''
        print_log(
            f'{type(self).__name__}: {types} replaces '
            f'{", ".join(replaced) or "no reconstruction term"}{kept}'
            ' (keep= leaves terms, rec_loss= adds one)',
            'current',
        )

    def _build_predictor(self, config, generator, views):
        if self.moment_distribution is None:
            if config is not None:
                raise UserError(
                    'predictor=... is given, and no sample loss asks for predicted '
                    'moments: take it out, or take a ProxyMRLoss'
                )
            return None
        defaults = dict(type='MomentPredictor', generator=generator)
        asked = dict(views=views) if views else {}
        return build('predictor', {**defaults, **(config or {}), **asked})

    def _build_average(self, config):
        if config is None:
            return None
        arguments.check_names('ema', config, ('decay',))
        check_kind('ema: decay', config.get('decay'), Ratio)
        generator = getattr(self, self.generator_name)
        return AveragedGenerator(generator, config['decay'])

    def init_weights(self) -> None:
        super().init_weights()
        if self.predictor is not None:
            self.predictor.init_weights()

    # -- losses --------------------------------------------------------------------

    def generator_losses(
        self,
        batch: Batch,
        samples: Tensor,
        moments: Moments | None = None,
        noise: dict[str, Tensor] | None = None,
        update: int = 0,
    ) -> dict[str, Tensor]:
        """Terms of the generator's loss on its samples, by the name in the log.

        Args:
            batch: N inputs.
            samples: (N, K, C, H, W), as the generator gives them.
            moments: What the predictor says, for losses that need it.
            noise: The z that was used, for losses that need it.
            update: Number of this update of the generator, from 0.
        """
        given = dict(target=batch.y, moments=moments, noise=noise)
        losses = self.host_losses(batch, samples)
        for name, loss in unwrap(self.sample_losses).items():
            if f'loss_{name}' in losses:
                raise UserError(
                    f'sample_losses: the host has a term {name!r} already; give '
                    'yours another name'
                )
            if update % loss.every == 0:
                needed = (given[need] for need in loss.needs)
                losses[f'loss_{name}'] = loss(samples, *needed, mask=batch.mask)
        if self.rec_loss is not None:
            losses['loss_rec'] = self.pixel_loss_of(self.rec_loss, batch, samples)
        return losses

    @staticmethod
    def pixel_loss_of(loss: nn.Module, batch: Batch, samples: Tensor) -> Tensor:
        """A pixel loss of MMagic, on every sample: (N, K, C, H, W) to a scalar."""
        k = samples.shape[1]
        weight = None if batch.mask is None else batch.mask.repeat_interleave(k, 0)
        return loss(samples.flatten(0, 1), batch.y.repeat_interleave(k, 0), weight)

    # -- training ------------------------------------------------------------------

    @final
    def _generator_step(
        self, network, batch: Batch, iteration: int, update: int, **schedule
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of one update's samples, and what else the log shows of them."""
        noise = {} if self._needs('noise') else None
        seeds = self._train_seeds(len(batch.x), iteration, purpose=1)
        samples = self.draw(
            network,
            batch,
            self.num_samples,
            self.sample_chunk,
            seeds=seeds,
            seed_device=batch.x.device,
            keep=noise,
        )
        moments = None if self.predictor is None else self.predictor.moments(batch.x)
        losses = self.generator_losses(
            batch, samples, moments, noise, update, **schedule
        )
        if not losses:
            raise UserError(
                f'update {update} of the generator has no loss: the config has none, '
                'or all its sample losses wait for another update (every > 1); add one'
            )
        losses, balance = self.balance.weigh(
            losses, samples, unwrap(self.sample_losses), update
        )
        return losses, balance | self._spread(batch, samples, moments)

    @torch.no_grad()
    def _spread(self, batch, samples, moments) -> dict[str, Tensor]:
        logs = {}
        if samples.shape[1] > 1:
            variance = samples.float().var(1)
            logs['sample_std'] = masked_mean(variance, batch.mask).sqrt()
        if moments is not None:
            variance = variance_of(moments, self.moment_distribution)
            logs['pred_std'] = masked_mean(variance, batch.mask).sqrt()
        return logs

    def _needs(self, what: str) -> bool:
        return any(what in loss.needs for loss in unwrap(self.sample_losses).values())

    def _check_predictor(self) -> None:
        if self._predictor_checked or self.predictor is None:
            return
        if not bool(self.predictor.trained):
            raise UserError(
                'the predictor was never trained, and a loss compares with what it '
                'says: add dict(type="PredictorPretrainHook", max_iters=..., '
                'val_interval=..., patience=...) to custom_hooks, or give the hook '
                'checkpoint=FILE of one that is'
            )
        self._predictor_checked = True

    def _next_iteration(self) -> int:
        """The Runner's iteration; in a loop of one's own, the number of the call."""
        now = MessageHub.get_current_instance().get_info('iter', None)
        driven = now is not None and now != self._runner_iter
        self._runner_iter = now
        self._iter = now if driven else self._iter + 1
        return self._iter

    def _train_seeds(self, n: int, iteration: int, purpose: int) -> list[int]:
        # Noise is a function of the run's seed, the iteration and the place in the
        # global batch: a resumed run draws what an uninterrupted one would have.
        entropy = np.random.SeedSequence((torch.initial_seed(), iteration, purpose))
        words = entropy.generate_state(n * get_world_size(), np.uint64)
        return words[n * get_rank() : n * (get_rank() + 1)].tolist()
