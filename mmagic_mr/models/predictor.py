"""The predictor of the conditional moments, trained by maximum likelihood."""

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmagic_mr.checks import Count, Natural, Positive, checked
from mmagic_mr.errors import UserError
from mmagic_mr.functional import (
    Moments,
    ViewMoments,
    over_all_processes,
    views_of,
)
from mmagic_mr.host import MODELS
from mmagic_mr.models.arguments import build, check_moment_view


@MODELS.register_module()
class MomentPredictor(BaseModule):
    """Center and log dispersion of y given x: a generator without noise, two heads.

    The second head is a convolution beside the generator's output convolution, with
    the same input. It is made frozen: :class:`PredictorPretrainHook` thaws it, trains
    it, and freezes it again. Frozen means evaluation mode and no gradients, whatever
    ``train()`` is called on the model around it.

    Args:
        generator: Config of any MMagic generator. Dropout is turned off: it would be
            a noise source.
        head: Name of the generator's output convolution. None: the last one with as
            many output channels as the config's ``out_channels`` says, or, where it
            says nothing, as the fewest that any convolution has.
        channels: Of the image, where that convolution has others: a gated one has twice
            as many. The other heads then have these. None: the same.
        output: Which of several tensors that the generator returns is the image; None:
            it returns one.
        views: Weights by the name of the view, as of a loss: for each a further head
            for the log dispersion in it, which says at the pixels what is averaged over
            the places of the view. The center in a view is the view of the center. The
            model gives those that its losses ask for; the pixels are always there.

    Raises:
        UserError: ``head`` names no convolution of the generator, or none has that many
            channels; a view is not linear, or sees the whole image.

    Shape:
        x (N, C, H, W) to center and log dispersion, each (N, C', H', W'), and the log
        dispersion by the name of the view.

    Reference:
        Lee et al., ICLR 2019, eq. 7 and 8; thesis, appendix B.
    """

    @checked
    def __init__(
        self,
        generator: dict,
        head: str | None = None,
        channels: Count | None = None,
        output: Natural | None = None,
        views: dict[str, Positive] | None = None,
    ):
        super().__init__()
        self.views = _weights({'pixel': 1.0, **(views or {})})
        generator = deepcopy(generator)
        if 'use_dropout' in generator:
            generator['use_dropout'] = False
        self.generator = build('generator', generator)
        self.output = output
        last = self._output_convolution(head, generator.get('out_channels'))
        names = [view.name for view in self.views if view.name != 'pixel']
        self.log_dispersion = _beside(last, channels)
        self.view_heads = nn.ModuleDict({n: _beside(last, channels) for n in names})
        self._reset_head(last)
        last.register_forward_pre_hook(self._keep_features)
        self._features = None
        self.register_buffer('trained', torch.tensor(False))
        self.freeze()

    def _output_convolution(self, head, channels) -> nn.Module:
        convolutions = {
            name: module
            for name, module in self.generator.named_modules()
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
        }
        if head is None:
            channels = channels or min(c.out_channels for c in convolutions.values())
            fits = [n for n, c in convolutions.items() if c.out_channels == channels]
            head = fits[-1] if fits else f'of {channels} channels'
        if head not in convolutions:
            raise UserError(
                f'head {head!r} names no convolution of '
                f'{type(self.generator).__name__}; the last ones are '
                f'{list(convolutions)[-5:]}'
            )
        self.head = head
        return convolutions[head]

    def _keep_features(self, conv, args):
        self._features = args[0]

    def _reset_head(self, output: nn.Module) -> None:
        # Like the output convolution's weights, and a dispersion of 1.
        std = float(output.weight.detach().std())
        for head in self.log_dispersion, *self.view_heads.values():
            nn.init.normal_(head.weight, std=std)
            if head.bias is not None:
                nn.init.zeros_(head.bias)

    def init_weights(self) -> None:
        """Initialize the generator as its own config says, and the other heads."""
        self.generator.init_weights()
        self._reset_head(self.generator.get_submodule(self.head))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        center = self.generator(x)
        if self.output is not None:
            center = center[self.output]
        features, self._features = self._features, None
        seen = {
            view.name: view.of_map(self.view_heads[view.name](features))
            for view in self.views
            if view.name in self.view_heads
        }
        return center, self.log_dispersion(features), seen

    def likelihoods(
        self,
        nll: nn.Module,
        prediction: tuple[Tensor, Tensor, dict[str, Tensor]],
        target: Tensor,
        mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss in each view, times its weight.

        Args:
            nll: As `MomentNLLLoss`.
            prediction: Of `forward`.
            target: The data y.
            mask: 1 where it counts.
        """
        center, log_dispersion, seen = prediction
        # In training; of a validation each process has as many batches as it has
        together = over_all_processes if torch.is_grad_enabled() else nullcontext
        with together():
            return {
                view.name: weight
                * nll(
                    view(center),
                    seen.get(view.name, log_dispersion),
                    view(target),
                    None if mask is None else view.of_mask(mask),
                )
                for view, weight in self.views.items()
            }

    @torch.no_grad()
    def moments(self, x: Tensor) -> Moments:
        """Predicted center and dispersion, in float32 (float64 stays).

        Returns:
            `ViewMoments`, where there are heads for views.

        Shape:
            x (N, C, H, W) to two tensors (N, C', H', W').
        """
        center, log_dispersion, seen = self(x)
        center = _full(center)
        moments = Moments(center, _full(log_dispersion).exp())
        if not seen:
            return moments
        of_views = {
            view.name: Moments(view(center), _full(seen[view.name]).exp())
            for view in self.views
            if view.name in seen
        }
        return ViewMoments(*moments, of_views)

    @property
    def frozen(self) -> bool:
        return not self.log_dispersion.weight.requires_grad

    def freeze(self) -> None:
        """No gradients, and evaluation mode from now on."""
        self.requires_grad_(False)
        self.train(False)

    def thaw(self) -> None:
        """Gradients, and training mode where ``train()`` asks for it."""
        self.requires_grad_(True)

    def train(self, mode: bool = True):
        return super().train(mode and not self.frozen)


def _beside(convolution: nn.Module, channels: int | None) -> nn.Module:
    """A convolution with the same input and geometry."""
    head = deepcopy(convolution)
    if channels is None or channels == head.out_channels:
        return head
    if isinstance(head, nn.ConvTranspose2d) or head.groups > 1:
        raise UserError(
            f'channels={channels}: the output convolution has {head.out_channels}, and '
            'only a plain Conv2d can get a head of another number beside it'
        )
    head.out_channels = channels
    head.weight = nn.Parameter(head.weight.detach()[:1].repeat(channels, 1, 1, 1))
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.detach()[:1].repeat(channels))
    return head


def _full(values: Tensor) -> Tensor:
    low = values.dtype in (torch.float16, torch.bfloat16)
    return values.float() if low else values


def _weights(views: Mapping[str, float]) -> dict:
    """The views with their weights, if a head can predict in each."""
    found = dict(views_of(views))
    for view in found:
        check_moment_view(view)
    return found
