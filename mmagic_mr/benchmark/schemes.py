"""Four ways to compute the same update, from the same weights and the same noise."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import Tensor, nn

from mmagic_mr.errors import UserError
from mmagic_mr.models.batch import Batch
from mmagic_mr.models.compiling import compile_parts
from mmagic_mr.models.gan import MomentGAN
from mmagic_mr.models.memory_format import use_channels_last
from mmagic_mr.sampling import SharedForward, sampling
from mmagic_mr.sampling.noise import NoiseInput
from mmagic_mr.sampling.recompute import active_contexts
from mmagic_mr.training import FAST

REPEATED, AUTHORS, OURS = 'repeated inputs', "the authors' scheme", 'ours'
# As the paper has it, and one of MMagic's for hosts without a discriminator
OPTIMIZER = dict(type='Adam', lr=1e-4, betas=(0.5, 0.999), amsgrad=True)


@dataclass(frozen=True)
class Switches:
    """What is on in the last of the schemes.

    Attributes:
        amp: As `FastOptimWrapper` has it, or 'fp16'; None: float32.
        channels_last: Memory format of images.
        compile: ``torch.compile`` where there is no noise.
        keep_memory: `keep_freed_memory`, on a CPU, as tools/train.py does it.
    """

    amp: str | None = None
    channels_last: bool = False
    compile: bool = False
    keep_memory: bool = False

    def __bool__(self) -> bool:
        return self != Switches()

    def __str__(self) -> str:
        words = {'auto': 'bf16'}.get(self.amp, self.amp), 'fused'
        also = (
            ('channels-last', self.channels_last),
            ('compile', self.compile),
            ('memory kept', self.keep_memory),
        )
        return ', '.join([w for w in words if w] + [name for name, on in also if on])


RECOMMENDED = Switches(amp='auto', channels_last=True, keep_memory=True)


@dataclass
class Scheme:
    """A model, its optimizers, and what it is called.

    Attributes:
        finish: To be called between counting and the clock: compiles, if anything.
        keep_memory: Whether freed memory is to be kept while it runs.
    """

    name: str
    model: nn.Module
    wrappers: Any
    finish: Callable[[], None] = lambda: None
    keep_memory: bool = False

    def update(self, batch: Batch) -> Tensor:
        """Forward and backward pass of one update of the generator; its loss."""
        model = self.model
        network = getattr(model, model.generator_name)
        wrapper = self.wrappers
        if isinstance(wrapper, OptimWrapperDict):
            wrapper = wrapper[model.generator_name]
        wrapper.zero_grad()
        with wrapper.optim_context(network):
            # Update 1: the balance of the gradients is measured at 0
            terms, _ = model._generator_step(network, batch, 0, 1)
        loss, _ = model.parse_losses(terms)
        if hasattr(wrapper, 'loss_scaler'):
            wrapper.loss_scaler.scale(loss).backward()
        else:
            loss.backward()
        return loss.detach()

    def iterations(self, data: dict) -> None:
        """Whole iterations, as many as one update of the discriminator takes."""
        for _ in range(getattr(self.model, 'gen_updates_per_disc', 1)):
            self.model.train_step(copy.deepcopy(data), self.wrappers)

    def gradients(self) -> Tensor:
        """Of the generator, after `update`, in one vector."""
        network = getattr(self.model, self.model.generator_name)
        found = [p.grad.reshape(-1) for p in network.parameters() if p.grad is not None]
        return torch.cat(found).float()


class RepeatedFeatures(SharedForward):
    """The authors' way: rows are repeated where noise enters, and wherever they meet.

    Example:
        >>> skip, h = torch.ones(2, 1, 4, 4), torch.ones(6, 1, 4, 4)
        >>> with RepeatedFeatures(num_inputs=2, num_samples=3):
        ...     type(torch.cat([skip, h], 1)).__name__
        'Tensor'
    """

    def call(self, func, args, kwargs):
        if self.num_samples > 1 and self._is_mixed((args, kwargs), rank=4):
            return self._repeat(func, args, kwargs)
        return func(*args, **kwargs)


def schemes(model: nn.Module, switches: Switches) -> list[Scheme]:
    """All four, each with a copy of the model.

    Each begins at iteration 1: at 0 the balance of the gradients would be measured.

    Args:
        model: A host, on its device; what it has switched on already stays on.
        switches: Of the last one.

    Raises:
        UserError: float16 without a GPU; memory to be kept, and no CPU that it is of.
    """
    device = next(model.parameters()).device.type
    if switches.keep_memory and device != 'cpu':
        raise UserError(
            f'--keep-memory is of a CPU, and this runs on {device}: leave it out'
        )
    model = copy.deepcopy(model)
    model._iter = 0
    plain = copy.deepcopy(model)
    plain.share_work = plain.recompute = False
    theirs = authors(copy.deepcopy(model))
    fast, finish = switched(copy.deepcopy(model), switches)
    named = [(REPEATED, plain), (AUTHORS, theirs), (OURS, copy.deepcopy(model))]
    made = [Scheme(name, m, wrappers_of(m, {})) for name, m in named]
    wrapper = dict(FAST, amp=switches.amp)
    if switches.amp == 'fp16':
        if device != 'cuda':
            raise UserError('--amp fp16 needs a GPU: take --amp, which is bfloat16')
        wrapper = dict(type='AmpOptimWrapper', dtype='float16')
    last = Scheme(f'{OURS}, {switches}', fast, wrappers_of(fast, wrapper), finish)
    return [*made, replace(last, keep_memory=switches.keep_memory)]


def wrappers_of(model: nn.Module, config: dict):
    """Optimizer wrappers of a host, as a Runner builds them."""
    config = dict(type='OptimWrapper', optimizer=OPTIMIZER) | config
    names = [model.generator_name]
    if not isinstance(model, MomentGAN):
        return build_optim_wrapper(model, config)
    if model.bare_discriminator is not None:
        names.append(model.discriminator_name)
    return OptimWrapperDict(
        **{n: build_optim_wrapper(getattr(model, n), config) for n in names}
    )


def switched(model: nn.Module, switches: Switches) -> tuple[nn.Module, Callable]:
    """A model with its memory format, and what compiles it afterwards."""
    if switches.channels_last:
        use_channels_last(model)

    def finish() -> None:
        if not switches.compile:
            return
        names = [model.generator_name, getattr(model, 'discriminator_name', None)]
        for name in filter(None, names):
            compile_parts(getattr(model, name), name)

    return model, finish


def authors(model: nn.Module) -> nn.Module:
    """A model that trains as the authors' published code does.

    The encoder runs once for each input. Where noise enters, its features are repeated,
    with all skip connections that meet samples later. The discriminator gets repeated
    inputs, and the generator's update computes its weights' gradients as well, to be
    thrown away.
    """
    model.share_work = False  # of the discriminator; the generator's is below
    model.recompute = False
    for module in model.noisy_networks()[0].modules():
        if isinstance(getattr(module, 'noise', None), NoiseInput):
            module.register_forward_pre_hook(_repeat_at_site)
    losses = model.generator_losses

    def draw(network, batch, num_samples, chunk=None, part=None, beside=None, **source):
        assert part is None  # one process
        n = len(batch.x)
        with sampling(n, num_samples, **source) as drawing:
            with RepeatedFeatures(n, num_samples):
                output = model.generate(network, drawing.enter(batch.x))
            if beside is not None:
                beside.update(model.beside_samples(output))
            return drawing.samples(model.to_samples(output)).float()

    def generator_losses(batch, samples, *args, adversarial=True, **kwargs):
        found = {}
        if adversarial and model.adversarial:
            model.bare_discriminator.zero_grad()
            images = model.compose(batch, samples)
            found['loss_gan_g'] = model.adversarial_loss(batch, images)
        kwargs = kwargs | dict(adversarial=False)
        return found | losses(batch, samples, *args, **kwargs)

    model.draw = draw
    if isinstance(model, MomentGAN):
        judged = model.discriminator_losses

        def discriminator_losses(*args):
            model.bare_discriminator.zero_grad()
            return judged(*args)

        model.generator_losses = generator_losses
        model.discriminator_losses = discriminator_losses
    return model


def _repeat_at_site(conv: nn.Module, args: tuple) -> tuple:
    for context in active_contexts():
        if isinstance(context, RepeatedFeatures):
            return (context.expand(args[0]), *args[1:])
    return args
