"""One call of a generator with noise: N inputs to N*K samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.sampling.channel_cat import ChannelCat
from mmagic_mr.sampling.noise import GLOBAL, draw_noise, noise_mean
from mmagic_mr.sampling.recompute import Carried, active_contexts
from mmagic_mr.sampling.sharing import SharedForward


class Drawing(Carried):
    """Rows and noise of one call; :func:`sampling` makes it."""

    def __init__(
        self,
        num_inputs: int,
        num_samples: int,
        *,
        share: bool = True,
        z: Mapping[str, Tensor] | None = None,
        seeds: Sequence[int] | None = None,
        seed_device: torch.device | str | None = None,
        keep: MutableMapping[str, Tensor] | None = None,
        temperature: float = 1.0,
    ):
        for name, number in (('num_inputs', num_inputs), ('num_samples', num_samples)):
            if number < 1:
                raise UserError(f'{name} must be at least 1, got {number}')
        if z is not None and seeds is not None:
            raise UserError('give z or seeds, not both')
        if seeds is not None and len(seeds) != num_inputs:
            raise UserError(
                f'{len(seeds)} seeds for {num_inputs} inputs: give one for each'
            )
        if z is not None and temperature != 1:
            raise UserError(
                f'temperature={temperature} scales noise that is drawn, and z is '
                'given: scale z instead'
            )
        self.num_inputs, self.num_samples = num_inputs, num_samples
        self.share, self.temperature = share, temperature
        self._given, self._keep = z, keep
        self._generators = (
            None
            if seeds is None
            else [torch.Generator(seed_device).manual_seed(seed) for seed in seeds]
        )
        self._visits: Counter[str] = Counter()  # of each site, so far
        # From the first checkpoint on: z of each visit, for the recomputation.
        self._memory: dict[tuple[str, int], Tensor] | None = None
        self._replaying = False
        self._everywhere: Tensor | None = None  # the one z of all global sites

    # -- what a caller uses --------------------------------------------------------

    def enter(self, tensor: Tensor) -> Tensor:
        """What the network gets of an input: itself, or repeated without sharing.

        Raises:
            UserError: it has not N rows.

        Shape:
            (N, ...) to (N, ...), or with ``share=False`` to (N*K, ...).
        """
        if tensor.shape[0] != self.num_inputs:
            raise UserError(
                f'an input of {tensor.shape[0]} rows in a context that was opened for '
                f'{self.num_inputs}'
            )
        return tensor if self.share else self._rows.expand(tensor)

    def samples(self, output: Tensor) -> Tensor:
        """What the network returned, as samples.

        Raises:
            UserError: K > 1, and no noise was added during the call (or z was given,
                and not used); rows that are neither N nor N*K.

        Shape:
            (N or N*K, ...) to (N, K, ...).
        """
        if isinstance(output, ChannelCat):
            output = output.materialize()
        if not isinstance(output, Tensor):
            raise UserError(
                f'samples are made of one tensor, got {type(output).__name__}: choose '
                'the one of the outputs that holds the images'
            )
        if not self._visits and (self.num_samples > 1 or self._given):
            raise UserError(self._unreached())
        rows = self._rows.expand(output)
        return rows.reshape(self.num_inputs, self.num_samples, *rows.shape[1:])

    @property
    def _rows(self) -> SharedForward:
        return SharedForward(self.num_inputs, self.num_samples)

    def _unreached(self) -> str:
        return (
            f'{self.num_samples} samples for each input were asked for, and no noise '
            'site was reached in this call: all the samples would be the same. Either '
            'the network has no noise (then num_samples is 1), the branch that holds '
            'its sites was not taken, or it ran in another thread (nn.DataParallel '
            'does that: call the network itself, inside `with sampling(...)`)'
        )

    @contextmanager
    def opened(self) -> Iterator[Drawing]:
        """The context of the call; a drawing is opened once."""
        n, k = self.num_inputs, self.num_samples
        self.activate()
        try:
            with SharedForward(n, k) if self.share else nullcontext():
                yield self
        finally:
            self.deactivate()

    # -- what a noise site uses ----------------------------------------------------

    def z(
        self,
        site: str,
        noise_type: str,
        channels: int,
        size: Sequence[int],
        like: Tensor,
    ) -> Tensor:
        """Noise for a site whose convolution gave ``like``.

        Raises:
            UserError: ``like`` has other rows than this call; a given z lacks the site
                or has another shape.

        Shape:
            (N*K, channels, *size)
        """
        self._check_rows(site, like.shape[0])
        return self._z(site, noise_type, (channels, *size), like.device)

    def z_everywhere(
        self, site: str, noise_type: str, channels: int, like: Tensor
    ) -> Tensor:
        """As `z`, for a site that shares one vector with all others.

        Drawn at the first of them. In ``z`` and ``keep`` its name is ``'global'``.

        Raises:
            UserError: as `z`; a site before had another number of channels.

        Shape:
            (N*K, channels, 1, 1)
        """
        self._check_rows(site, like.shape[0])
        if not self._visits[GLOBAL]:  # or again, where a recomputation begins before it
            z = self._z(GLOBAL, noise_type, (channels, 1, 1), like.device)
            self._everywhere = z
        assert self._everywhere is not None
        if self._everywhere.shape[1] != channels:
            raise UserError(
                f'noise site {site!r} has {channels} channels, and the one z of this '
                f'call has {self._everywhere.shape[1]}: give all sites the same number'
            )
        return self._everywhere.to(like.device)

    def _z(
        self, site: str, noise_type: str, size: tuple[int, ...], device: torch.device
    ) -> Tensor:
        visit = site, self._visits[site]
        self._visits[site] += 1
        shape = (self.num_samples, *size)
        if self._given is not None:
            z = self._given_z(site, shape)
        elif self._generators is None:
            # Drawn in a recomputation as well: what is drawn next, dropout for one,
            # finds the random numbers that it found in the forward pass.
            z = self._draw(noise_type, (self.num_inputs, *shape), None, device)
            z = self._remembered(visit, z)
        elif self._replaying:
            z = self._remembered(visit, None)
        else:
            draws = [
                self._draw(noise_type, shape, g, g.device) for g in self._generators
            ]
            z = self._remembered(visit, torch.stack(draws))
        z = z.to(device)
        if self._keep is not None:
            self._keep[site] = z
        return z.flatten(0, 1)

    def _draw(
        self,
        noise_type: str,
        shape: tuple[int, ...],
        generator: torch.Generator | None,
        device: torch.device,
    ) -> Tensor:
        z = draw_noise(noise_type, shape, generator, device)
        if self.temperature == 1:
            return z
        mean = noise_mean(noise_type, shape[-3])
        return mean + self.temperature * (z - mean)

    def _remembered(self, visit: tuple[str, int], z: Tensor | None) -> Tensor:
        if self._replaying:
            assert self._memory is not None
            return self._memory[visit]
        assert z is not None
        if self._memory is not None:
            self._memory[visit] = z
        return z

    def _check_rows(self, site: str, rows: int) -> None:
        samples = self.num_inputs * self.num_samples
        if rows == samples or (self.share and rows == self.num_inputs):
            return
        wanted = f'{self.num_inputs} or {samples}' if self.share else f'{samples}'
        raise UserError(
            f'noise site {site!r} has {rows} rows in a call for {self.num_inputs} '
            f'inputs and {self.num_samples} samples each, expected {wanted}: give the '
            'network drawing.enter(x), and choose no site where rows are folded with '
            'other dimensions'
        )

    def _given_z(self, site: str, shape: tuple[int, ...]) -> Tensor:
        assert self._given is not None
        expected = (self.num_inputs, *shape)
        if site not in self._given:
            what = 'one vector for the image' if site == GLOBAL else 'noise site'
            raise UserError(
                f'z lacks the {what} {site!r}; it has {sorted(self._given)}'
            )
        if tuple(self._given[site].shape) != expected:
            raise UserError(
                f'z[{site!r}] has shape {tuple(self._given[site].shape)}, '
                f'expected (N, K, C, H, W) = {expected}'
            )
        return self._given[site]

    # -- recomputation in the backward pass ------------------------------------------

    def snapshot(self) -> Callable[[], AbstractContextManager[Any]]:
        if self._memory is None:
            self._memory = {}
        visits = self._visits.copy()
        return lambda: self._replay(visits)

    @contextmanager
    def _replay(self, visits: Counter[str]) -> Iterator[None]:
        now = self._visits, self._replaying
        self._visits, self._replaying = visits.copy(), True
        self.activate()
        try:
            yield
        finally:
            self.deactivate()
            self._visits, self._replaying = now


def current_drawing() -> Drawing | None:
    """The innermost :func:`sampling` of this thread."""
    drawings = [c for c in active_contexts() if isinstance(c, Drawing)]
    return drawings[-1] if drawings else None


@contextmanager
def sampling(
    num_inputs: int,
    num_samples: int,
    *,
    share: bool = True,
    z: Mapping[str, Tensor] | None = None,
    seeds: Sequence[int] | None = None,
    seed_device: torch.device | str | None = None,
    keep: MutableMapping[str, Tensor] | None = None,
    temperature: float = 1.0,
) -> Iterator[Drawing]:
    """Context in which a generator with noise maps N inputs to N*K samples.

    Outside of it, each row of the input gets one sample, of fresh noise.

    Args:
        num_inputs: N, rows of the input.
        num_samples: K; the K samples of an input are next to each other.
        share: what comes before the noise is computed once for each input (see
            :mod:`mmagic_mr.sampling.sharing`); False: the network runs on N*K rows
            from the start, for a network that sharing does not suit. The samples are
            the same, to rounding.
        z: the noise itself, by the name of its site, (N, K, C, H, W) each; of a network
            with ``extent='global'``, ``{'global': z}``, (N, K, C, 1, 1).
        seeds: one integer for each input: its samples depend on it and on the input,
            not on the batch. Without ``z`` and ``seeds`` the noise is fresh.
        seed_device: where seeded noise is drawn; a seed means other numbers on another
            kind of device.
        keep: a dict that gets the z that was used, in the form of ``z``.
        temperature: factor of the noise's distance from its mean; below 1 the samples
            are nearer to each other than the model learnt.

    Returns:
        What takes the input in (``enter``) and makes samples of the output
        (``samples``).

    Raises:
        UserError: both ``z`` and ``seeds``, as many seeds as inputs are not given, a
            number below 1, or a temperature beside ``z``.

    Example:
        >>> from mmagic_mr.sampling import add_noise_sites
        >>> net = torch.nn.Conv2d(3, 8, 3)
        >>> net = torch.nn.Sequential(net, torch.nn.Conv2d(8, 1, 3))
        >>> sites = add_noise_sites(net, dict(sites={'1': 4}))
        >>> with sampling(num_inputs=2, num_samples=5, seeds=[7, 8]) as drawing:
        ...     output = net(drawing.enter(torch.rand(2, 3, 8, 8)))
        ...     drawing.samples(output).shape
        torch.Size([2, 5, 1, 4, 4])
    """
    drawing = Drawing(
        num_inputs,
        num_samples,
        share=share,
        z=z,
        seeds=seeds,
        seed_device=seed_device,
        keep=keep,
        temperature=temperature,
    )
    with drawing.opened():
        yield drawing
