"""Samples of a host: how they are drawn, for training, evaluation and tools."""

import logging
from contextlib import nullcontext
from typing import final

import torch
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch import Tensor, nn

from mmagic_mr.errors import UserError
from mmagic_mr.functional import Moments
from mmagic_mr.functional.checks import full_precision
from mmagic_mr.host import DataSample, unwrap
from mmagic_mr.models import evaluation
from mmagic_mr.models.base import Host
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.chunks import batch_norms, forward_replaced, in_chunks, slices
from mmagic_mr.models.share import (
    CHECK_INTERVAL,
    SampleShare,
    check_same_inputs,
    noise_seeds,
)
from mmagic_mr.sampling import Drawing, LeanBackward, Part


def is_chunked(model: nn.Module) -> bool:
    """Whether the generator's update has more samples than a chunk."""
    return model.sample_chunk is not None and model.sample_chunk < model.num_samples


class Sampler(Host):
    """What draws from a host; `MomentReconstruction` builds its parts."""

    averaged_generator: nn.Module | None  # an `AveragedGenerator`

    @final
    def normalize(self, x: Tensor) -> Tensor:
        """x as the data preprocessor gives it, as the generator takes it."""
        return x if self.input_norm is None else self.input_norm(x)

    @final
    def draw(
        self,
        network,
        batch: Batch,
        num_samples: int,
        chunk: int | None = None,
        part: slice | None = None,
        beside: dict[str, Tensor] | None = None,
        **source,
    ) -> Tensor:
        """Samples of the generator, in float32.

        Args:
            network: The generator, or its wrapper of a distributed run.
            batch: N inputs.
            num_samples: K.
            chunk: Samples of an input that are computed at a time, see
                `mmagic_mr.models.chunks`; None: all of them.
            part: Which of the K samples are drawn, with the noise that they have among
                all of them; None: all.
            beside: A dict that gets `beside_samples`; with chunks it stays empty.
            source: Of the noise, see `mmagic_mr.sampling.sampling`. With chunks,
                ``z`` or ``seeds``.

        Shape:
            N rows of ``batch`` to (N, K, C, H, W), or fewer samples of a ``part``.
        """
        whole = Drawing(len(batch.x), num_samples, share=self.share_work, **source)
        noise: dict = {}
        first, count = 0, num_samples
        if part is not None:
            first, count = part.start, part.stop - part.start
        if chunk is None or chunk >= count or not torch.is_grad_enabled():
            if count < num_samples:
                whole = Part(whole, noise, first, first + count)
            return self._drawn(network, batch, whole, beside)
        bare = unwrap(network)

        def run(some: slice, _) -> Tensor:
            drawing = Part(whole, noise, first + some.start, first + some.stop)
            return self._drawn(bare, batch, drawing)

        def samples(*args, **kwargs) -> Tensor:
            return in_chunks(run, bare, slices(count, chunk))

        if network is bare:
            return samples()
        # Through the wrapper, which then knows that gradients are to come.
        with forward_replaced(bare, samples):
            return network(batch.x)

    def _drawn(self, network, batch: Batch, drawing: Drawing, beside=None) -> Tensor:
        with self._lean(), drawing.opened():
            output = self.generate(network, drawing.enter(batch.x))
            if beside is not None:
                beside.update(self.beside_samples(output))
            samples = drawing.samples(self.to_samples(output))
        return full_precision(samples)

    def _lean(self):
        """Context of a forward pass with a graph."""
        wanted = self.recompute and torch.is_grad_enabled()
        return LeanBackward() if wanted else nullcontext()

    def _warn_of_chunks(self) -> None:
        """What batch statistics make of ``sample_chunk``; once, when it is built."""
        network = unwrap(getattr(self, self.generator_name))
        names = batch_norms(network)
        if names and is_chunked(self):
            print_log(
                f'sample_chunk={self.sample_chunk}: {type(network).__name__} has batch '
                f'normalization ({names[0]} and {len(names) - 1} more). After the '
                f'noise its statistics are those of {self.sample_chunk} samples of '
                'each input, not of all: the gradient is exact for these, and the '
                'update is not the one without chunks. For the same update take '
                "norm_cfg=dict(type='IN') or another without batch statistics, or "
                'sample_chunk=None',
                'current',
                logging.WARNING,
            )

    @property
    def sampled_network(self) -> nn.Module:
        """The average of the generator, once there is one; else the generator."""
        average = self.averaged_generator
        if average is not None and average.steps > 0:
            return average.module
        return unwrap(getattr(self, self.generator_name))

    def sample(
        self,
        x: Tensor,
        num_samples: int | None = None,
        z: dict | None = None,
        seed: int | list[int] | None = None,
        keep: dict | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw K samples for each input.

        Args:
            x: Condition as the data preprocessor gives it.
            num_samples: K; None: ``eval_num_samples``.
            z: The noise itself, site name to (N, K, channels, h, w).
            seed: An integer (the same z for every input), or one for each input. The
                samples of an input depend on x and its seed alone (in eval mode).
                Neither z nor seed: fresh noise.
            keep: A dict that gets the noise used, in the form of ``z``.
            temperature: Factor of the noise, see `mmagic_mr.sampling.sampling`.

        Returns:
            Samples, in the range of the network's output.

        Raises:
            UserError: Both z and seed; z of another shape or without a site; as many
                seeds as inputs are not given.

        Shape:
            x (N, C, H, W) to (N, K, C', H', W').
        """
        condition = self.make_condition(x)
        source = dict(z=z, seed=seed, keep=keep, temperature=temperature)
        return self.sample_batch(condition, num_samples, **source)

    def sample_batch(
        self,
        batch: Batch,
        num_samples: int | None = None,
        z=None,
        seed=None,
        keep=None,
        temperature: float = 1.0,
    ) -> Tensor:
        """`sample` for what `make_batch` makes."""
        if z is not None and seed is not None:
            raise UserError('give z or seed, not both')
        n = len(batch.x)
        seeds = [seed] * n if isinstance(seed, int) else seed
        if seeds is not None and len(seeds) != n:
            raise UserError(f'{len(seeds)} seeds for {n} inputs')
        samples = self.draw(
            self.sampled_network,
            batch,
            num_samples or self.eval_num_samples,
            z=z,
            seeds=seeds,
            seed_device='cpu',
            keep=keep,
            temperature=temperature,
        )
        return self.compose(batch, samples)

    def predict_moments(self, x: Tensor) -> Moments | None:
        """The predictor's center and dispersion; None without a predictor.

        Shape:
            x (N, C, H, W), as the data preprocessor gives it, to two (N, C', H', W').
        """
        return self.predict_batch(self.make_condition(x))

    def predict_batch(self, batch: Batch) -> Moments | None:
        """`predict_moments` for what `make_batch` makes."""
        if self.predictor is None:
            return None
        center, dispersion = self.predictor.moments(batch.x)
        center = self.compose(batch, center.unsqueeze(1)).squeeze(1)
        if batch.known is not None:  # and a known pixel does not vary
            dispersion = dispersion * (batch.mask > 0)
        return Moments(center, dispersion)

    # -- in training: what the processes of a distributed run draw -----------------

    def _train_seeds(self, n: int, iteration: int, purpose: int) -> list[int]:
        same = self.distribute == 'samples'
        return noise_seeds(n, iteration, purpose, same)

    def _share(self) -> SampleShare | None:
        """What this process draws of the samples; None: all of them."""
        if self.distribute == 'inputs' or get_world_size() == 1:
            return None
        return SampleShare(self.num_samples)

    def _check_inputs(self, batch: Batch, iteration: int) -> None:
        if self._share() is None:
            return
        if not self._inputs_checked or iteration % CHECK_INTERVAL == 0:
            self._inputs_checked = True
            check_same_inputs(batch)

    # -- validation and test -------------------------------------------------------

    def val_step(
        self,
        data: dict,
        num_samples: int | None = None,
        seed: int | None = None,
        **source,
    ) -> list[DataSample]:
        """Draw samples in evaluation mode; see `evaluation.evaluate_batch`."""
        return evaluation.evaluate_batch(self, data, num_samples, seed, **source)

    def test_step(self, data: dict) -> list[DataSample]:
        """Same as `val_step`."""
        return self.val_step(data)
