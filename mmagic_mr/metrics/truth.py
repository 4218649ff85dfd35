"""What a data set knows of an input: the function that a config's `truth` names.

The function takes the path of an input's file and returns an object with some of:

- ``mean`` and ``var`` (C,H,W), BGR, 0..255 and its square: the true moments;
- ``draw(rng)``: a random generator to a picture of the true law, RGB (H,W,3), uint8;
- ``answers``: such pictures, where an input has several real ones;
- ``complete``: True where these are all that there are, each as likely as the others;
- ``parts``: boxes (top, left, height, width) that go together, two of them, where the
  answers are complete, one for each style.

Each metric uses what is there.
"""

import importlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mmagic_mr.errors import UserError
from mmagic_mr.metrics.base import rgb, variance_unit

POOL = 64  # draws that independent pixels are taken from, where there are no answers


def find_truth(place: str) -> Callable:
    """The function at 'package.module:function'.

    Raises:
        UserError: there is none that can be imported.
    """
    module, _, name = place.partition(':')
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f'truth={place!r}: MODULE:FUNCTION is needed, a function that can be '
            f'imported ({error})'
        ) from error


def true_moments(truth) -> tuple[Tensor, Tensor] | None:
    """Mean and variance, RGB in units of [0, 1]; None: the object has none.

    Shape:
        both (3, H, W).
    """
    if getattr(truth, 'mean', None) is None:
        return None
    mean, var = (torch.as_tensor(np.array(m)) for m in (truth.mean, truth.var))
    return rgb(mean) / 255, variance_unit(var)


def real_answers(truth, count: int, rng: np.random.Generator) -> Tensor | None:
    """Real pictures of one input, RGB in [0, 1]; None: the object has none.

    Args:
        truth: what the function gave.
        count: pictures to draw; of those that are given, so many at most, and all of
            them where they are complete.
        rng: of the draw.

    Shape:
        (M, 3, H, W).
    """
    pictures = getattr(truth, 'answers', None)
    if pictures is not None:
        pictures = list(pictures)[: None if is_complete(truth) else count]
    elif getattr(truth, 'draw', None) is not None:
        pictures = [truth.draw(rng) for _ in range(count)]
    else:
        return None
    return torch.from_numpy(np.stack(pictures)).movedim(-1, -3).float() / 255


def is_complete(truth) -> bool:
    """Whether the answers are the whole law, and not draws of it."""
    return bool(getattr(truth, 'complete', False))


def reference_samplers(
    truth, count: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """What samplers with a known fault, and one without, give for an input.

    Args:
        truth: what the function gave; where it cannot `draw`, there are none.
        count: samples of each.
        rng: of the draws.

    Returns:
        RGB in [0, 1], by name: a perfect sampler; the true mean, always; each pixel
        right by itself and independent of the others.

    Shape:
        (count, 3, H, W) each.
    """
    if getattr(truth, 'draw', None) is None:
        return {}
    drawn = np.stack([truth.draw(rng) for _ in range(count)])
    found = {'perfect sampler': torch.from_numpy(drawn).movedim(-1, -3).float() / 255}
    moments = true_moments(truth)
    if moments is not None:
        mean = moments[0].float()
        found['mean'] = mean.expand(count, *mean.shape)
    pool = real_answers(truth, POOL, rng)
    height, width = pool.shape[-2:]
    which = torch.from_numpy(rng.integers(len(pool), size=(count, height, width)))
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing='ij'
    )
    found['independent pixels'] = pool[which, :, rows, columns].movedim(-1, 1)
    return found
