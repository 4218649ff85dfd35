"""What one update is computed from."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

from torch import Tensor

AnyBatch = TypeVar('AnyBatch', bound='Batch')


@dataclass(frozen=True)
class Batch:
    """Tensors of one update, N rows each.

    A host that needs more derives its own class with more tensors.

    Attributes:
        x: Input of the generator (standardized where the config says so).
        y: Target, (N, C, H, W).
        mask: (N, 1, H, W), 1 where the loss counts; None: everywhere.
        known: (N, C, H, W), the image outside the mask; None: nothing is known.

    ``y`` is None where there is only something to sample from.
    """

    x: Tensor
    y: Tensor | None = None
    mask: Tensor | None = None
    known: Tensor | None = None

    def first(self: AnyBatch, n: int | None) -> AnyBatch:
        """The first n rows; all of them for None."""
        return self.rows(slice(n))

    def rows(self: AnyBatch, part: slice) -> AnyBatch:
        """Some of the rows."""
        rows = {
            field.name: value[part]
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        return replace(self, **rows)
