"""Samples, their losses, and the parts of a training step: the same for all hosts."""

import logging
from copy import deepcopy
from dataclasses import replace
from typing import Literal, final

import torch
from mmengine import MessageHub
from mmengine.logging import print_log
from torch import Tensor, nn

from mmagic_mr.checks import Count, Ratio, check_kind, checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import (
    Moments,
    masked_mean,
    over_all_processes,
    process_mean,
    variance_of,
)
from mmagic_mr.functional.variance import mean_and_variance
from mmagic_mr.host import eval_mode, unwrap
from mmagic_mr.models import arguments
from mmagic_mr.models.arguments import build
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.compiling import compile_parts
from mmagic_mr.models.ema import AveragedGenerator
from mmagic_mr.models.host_terms import compare_means, pixel_loss
from mmagic_mr.models.input_norm import InputNorm
from mmagic_mr.models.memory_format import use_channels_last
from mmagic_mr.models.sampler import Sampler
from mmagic_mr.models.share import Distribute
from mmagic_mr.sampling import Drawing, NoiseInput, add_noise_sites, list_sites
from mmagic_mr.sampling.listing import check_effect


class MomentReconstruction(Sampler):
    """Mixin that gives a model of MMagic K samples per input and sample losses.

    It stands before MMagic's class in the bases. `MomentGAN` adds what hosts with a
    discriminator share.

    Args:
        noise: Where z enters: the name of one of the host's ``noise_presets``, or a
            dict, see `mmagic_mr.sampling.add_noise_sites`.
        noise_init: The weights that take z in: ``'host'``, as the convolution's own;
            ``'zero'``: the answers are at first those of the network without noise, as
            loaded from a checkpoint of MMagic's class.
        num_samples: K, samples per input in the generator's update. None: 10, or 1
            without noise.
        eval_num_samples: K in validation and test; None: ``num_samples``.
        gen_batch_size: Inputs of the batch that the generator's update uses; None: all.
        sample_losses: Configs of losses on the K samples, by name; each is logged as
            ``loss_<name>``. They replace the host's reconstruction terms.
        mr_loss: Short for ``sample_losses=dict(mr=...)``.
        keep: Names of the host's reconstruction terms that stay beside them; or a dict,
            ``dict(perceptual_loss='mean')``: a perceptual term then compares the mean
            of the features over the samples, and asks no sample to be like the data.
            'each': every sample, as a list of names does.
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
        distribute: What the processes of a distributed run share out: 'inputs', each
            has its own; 'samples', each draws a part of the K samples of the same
            inputs, see `mmagic_mr.models.share`.
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
        noise_init: Literal['host', 'zero'] = 'host',
        num_samples: Count | None = None,
        eval_num_samples: Count | None = None,
        gen_batch_size: Count | None = None,
        sample_losses: dict[str, dict] | None = None,
        mr_loss: dict | None = None,
        keep: tuple[str, ...] | dict[str, str] = (),
        balance: float | dict = 1.0,
        rec_loss: dict | None = None,
        predictor: dict | None = None,
        input_norm: dict | None = None,
        share_work: bool = True,
        sample_chunk: Count | None = None,
        distribute: Distribute = 'inputs',
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
        if noise is None and noise_init == 'zero':
            raise UserError("noise_init='zero' without noise: say where it enters")
        options = arguments.compile_options(compile)
        used = (*self.used_arguments, *self.reconstruction_terms)
        arguments.check_host_arguments(type(self), used, host)
        arguments.check_weights(dict(host, rec_loss=rec_loss))
        kept = arguments.kept_terms(type(self), keep)
        self._replace_reconstruction(losses, kept, host)
        generator = deepcopy(host[self.generator_arg])
        super().__init__(**host)
        self.prepare_networks()
        for name in [name for name, how in kept.items() if how == 'mean']:
            compare_means(name, getattr(self, self.perceptual_terms[name], None))

        self.num_samples = num_samples or (1 if noise is None else 10)
        self.eval_num_samples = eval_num_samples or self.num_samples
        self.gen_batch_size = gen_batch_size
        self.share_work = share_work
        self.sample_chunk, self.recompute = sample_chunk, recompute
        self.distribute = distribute
        self._share()  # or an error, before anything is trained
        self._inputs_checked = False
        self._warn_of_chunks()
        self.noise_sites: list[str] = []
        self.noise_init, self._noise_checked = noise_init, False
        if noise is not None:
            for network in self.noisy_networks():
                self.noise_sites = add_noise_sites(
                    network, noise, self.noise_presets, noise_init
                )
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
        if not losses:
            if keep:
                raise UserError(
                    f'keep={list(keep)} without sample_losses: nothing is replaced, '
                    'all terms stay'
                )
            return
        replaced = self.drop_reconstruction(host, keep)
        types = ', '.join(config['type'] for config in losses.values())
        on_mean = dict(each='', mean=' (on the mean of the features)')
        stays = [f'{name}{on_mean[how]}' for name, how in keep.items()]
        stays += self.untouched_terms(host)
        kept = ''.join(f'; {name} stays' for name in stays)
        print_log(
            f'{type(self).__name__}: {types} replaces '
            f'{", ".join(replaced) or "no reconstruction term"}{kept}'
            ' (keep= leaves terms, rec_loss= adds one)',
            'current',
        )

    def untouched_terms(self, host: dict) -> list[str]:
        """The host's losses that no loss on the samples replaces, for the log.

        Args:
            host: Its arguments from the config, without what was dropped.
        """
        gan = getattr(self, 'gan_loss_name', None)
        return arguments.other_terms(self.used_arguments, host, gan)

    def _build_predictor(self, config, generator, views):
        if self.moment_distribution is None:
            if config is not None:
                raise UserError(
                    'predictor=... is given, and no sample loss asks for predicted '
                    'moments: take it out, or take a ProxyMRLoss'
                )
            return None
        defaults = dict(type='MomentPredictor', generator=generator)
        defaults |= self.predictor_arguments
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
        self.reset_noise()

    def reset_noise(self) -> None:
        """The noise weights that are to be zero, after the networks' initialization."""
        for module in self.modules():
            if isinstance(module, NoiseInput):
                module.reset()

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
            samples: (N, K, C, H, W), as the generator gives them; where processes
                share them out, this one's.
            moments: What the predictor says, for losses that need it.
            noise: The z that was used, for losses that need it.
            update: Number of this update of the generator, from 0.
        """
        given = dict(target=batch.y, moments=moments, noise=noise)
        losses, share = self.host_losses(batch, samples), self._share()
        everyone = samples if share is None else share.gather(samples)
        for name, loss in unwrap(self.sample_losses).items():
            if f'loss_{name}' in losses:
                raise UserError(
                    f'sample_losses: the host has a term {name!r} already; give '
                    'yours another name'
                )
            if update % loss.every == 0:
                needed = (given[need] for need in loss.needs)
                losses[f'loss_{name}'] = loss(everyone, *needed, mask=batch.mask)
        if self.rec_loss is not None:
            losses['loss_rec'] = pixel_loss(self.rec_loss, batch, samples)
        return losses

    # -- training ------------------------------------------------------------------

    @final
    def _generator_step(
        self, network, batch: Batch, iteration: int, update: int, **schedule
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of one update's samples, and what else the log shows of them."""
        noise = {} if self._needs('noise') else None
        share = self._share()
        beside: dict[str, Tensor] = {}
        samples = self.draw(
            network,
            batch,
            self.num_samples,
            self.sample_chunk,
            seeds=self._train_seeds(len(batch.x), iteration, purpose=1),
            seed_device=batch.x.device,
            keep=noise,
            beside=beside,
            part=None if share is None else share.part,
        )
        batch = replace(batch, **beside)
        if not self._noise_checked:
            self._check_noise(batch, samples)
        moments = None if self.predictor is None else self.predictor.moments(batch.x)
        with over_all_processes():
            losses = self.generator_losses(
                batch, samples, moments, noise, update, **schedule
            )
            spread = self._spread(batch, samples, moments)
        if not losses:
            raise UserError(
                f'update {update} of the generator has no loss: the config has none, '
                'or all its sample losses wait for another update (every > 1); add one'
            )
        losses, balance = self.balance.weigh(
            losses, samples, unwrap(self.sample_losses), update
        )
        return losses, balance | spread

    def _check_noise(self, batch: Batch, samples: Tensor) -> None:
        """Before the first update: that noise can change the answers at all."""
        self._noise_checked = True
        if self.noise_init == 'zero' or samples.shape[1] == 1:
            return
        if bool((samples != samples[:, :1]).any()):
            return
        generator = unwrap(getattr(self, self.generator_name))

        def run():
            with eval_mode(generator), Drawing(1, 1).opened() as drawing:
                return self.generate(generator, drawing.enter(batch.x[:1]))

        listing = list_sites(self.noisy_networks()[0], run)
        check_effect(listing, self.noise_sites)

    @torch.no_grad()
    def _spread(self, batch, samples, moments) -> dict[str, Tensor]:
        """Roots of means: the samples' variance, the error of their mean, P's variance.

        With K samples, std sqrt(1 + 1/K) equals the error where the spread is right.
        """
        found, share = {}, self._share()
        if self.num_samples > 1:
            moments_of = mean_and_variance if share is None else share.mean_and_variance
            center, found['sample_std'] = moments_of(samples.float())
            found['mean_error'] = (center - batch.y).square()
        if moments is not None:
            found['pred_std'] = variance_of(moments, self.moment_distribution)
        means = {n: masked_mean(variance, batch.mask) for n, variance in found.items()}
        return {name: process_mean(mean).sqrt() for name, mean in means.items()}

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
