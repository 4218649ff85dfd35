"""Some of the samples of a call, with the noise that they have among all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from mmagic_mr.sampling.draw import Drawing


class Part(Drawing):
    """Samples ``start`` to ``stop`` of those of another drawing.

    The first part that comes to a site draws the noise of all K samples there, as the
    whole would have; the others, and the same part in a second run, find theirs in it.

    Args:
        whole: A drawing that is not opened itself.
        noise: A dict that the parts of a whole have in common; it gets their noise.
        start: Index of the first sample.
        stop: Index after the last one.

    Example:
        >>> from mmagic_mr.sampling import add_noise_sites
        >>> net = torch.nn.Conv2d(3, 1, 3)
        >>> sites = add_noise_sites(torch.nn.Sequential(net), dict(sites={'0': 4}))
        >>> whole, noise = Drawing(2, 5, seeds=[7, 8]), {}
        >>> with Part(whole, noise, 3, 5).opened() as part:
        ...     part.samples(net(part.enter(torch.rand(2, 3, 8, 8)))).shape
        torch.Size([2, 2, 1, 6, 6])
        >>> {visit: tuple(z.shape) for visit, z in noise.items()}
        {('0', 0): (2, 5, 4, 8, 8)}
    """

    def __init__(
        self,
        whole: Drawing,
        noise: dict[tuple[str, int], Tensor],
        start: int,
        stop: int,
    ):
        super().__init__(whole.num_inputs, stop - start, share=whole.share)
        self._whole, self._noise = whole, noise
        self.samples_of_whole = slice(start, stop)

    def _z(
        self, site: str, noise_type: str, size: tuple[int, ...], device: torch.device
    ) -> Tensor:
        visit = site, self._visits[site]
        self._visits[site] += 1
        if visit not in self._noise:
            z = self._whole._z(site, noise_type, size, device)
            rows = self._whole.num_inputs, self._whole.num_samples
            self._noise[visit] = z.reshape(*rows, *z.shape[1:])
        return self._noise[visit][:, self.samples_of_whole].flatten(0, 1)
