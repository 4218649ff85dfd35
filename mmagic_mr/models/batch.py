"""What one update is computed from."""

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Tensors of one update, N rows each.

    Attributes:
        x: input of the generator (whitened).
        y: target, (N, C, H, W).
        mask: (N, 1, H, W), 1 where the loss counts; None: everywhere.
        known: (N, C, H, W), the image outside the mask; None: nothing is known.
        box: (N, 4) integers, top, left, height, width of what the discriminator looks
            at closely; on the CPU.

    ``y`` is None where there is only something to sample from.
    """

    x: Tensor
    y: Tensor | None = None
    mask: Tensor | None = None
    known: Tensor | None = None
    box: Tensor | None = None

    def first(self, n: int | None) -> 'Batch':
        """The first n rows; all of them for None."""
        values = (getattr(self, field.name) for field in fields(self))
        return Batch(*(v if v is None else v[:n] for v in values))
