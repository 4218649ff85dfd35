"""Samples and predictions against the known truth of the demo's scenes."""

from collections.abc import Callable, Sequence

import numpy as np

from mmagic_mr.data.synthetic.scenes import Truth

# A sample counts for a mode up to half-way to the next one.
TOLERANCE = 0.5


def score(
    samples: Sequence[np.ndarray],
    truths: Sequence[Truth],
    pred_means: Sequence[np.ndarray] | None = None,
    pred_vars: Sequence[np.ndarray] | None = None,
    per_pixel: bool = True,
) -> dict[str, float]:
    """How near samples (and predicted moments) come to the truth, over many scenes.

    With true mean mu and variance s^2 of each pixel and channel, sample mean m and
    unbiased sample variance v over the K samples, and averages over all of them:

        std_ratio    sqrt(avg v / avg s^2)
        mean_error   sqrt(avg (m - mu)^2 / s^2), in true standard deviations; or
                     sqrt(avg (m - mu)^2 / avg s^2), where not ``per_pixel``
        modes        share of the modes covered; see ``covered_modes``
        off_mode     avg distance from a sample to its nearest mode, in the same unit
        pred_mean_error, pred_var_error:
                     the same for p - mu, and |q - s^2| / |s^2| (Euclidean norms)

    Args:
        samples: for each scene (K,3,H,W), in the truths' range and channel order.
        truths: for each scene.
        pred_means: predicted mean for each scene, (3,H,W); None: not scored.
        pred_vars: predicted variance likewise.
        per_pixel: False where some pixels hardly vary: their errors are not magnified.

    Returns:
        Numbers by the names above.

    Example:
        >>> from mmagic_mr.data.synthetic.scenes import scene_labels, scene_truth
        >>> truth = scene_truth(scene_labels(0))
        >>> score([truth.modes], [truth])['modes']
        1.0
    """
    true_mean, true_var = (
        np.stack([getattr(t, name) for t in truths]) for name in ('mean', 'var')
    )
    means = np.stack([s.mean(0) for s in samples])
    variances = np.stack([s.var(0, ddof=1) for s in samples])
    covered, off = zip(
        *(covered_modes(s, t) for s, t in zip(samples, truths, strict=True)),
        strict=True,
    )
    unit = np.sqrt(true_var if per_pixel else true_var.mean())
    result = dict(
        std_ratio=np.sqrt(variances.mean() / true_var.mean()),
        mean_error=_root_mean_square((means - true_mean) / unit),
        modes=np.mean(covered),
        off_mode=np.mean(
            [o / np.sqrt(t.var.mean()) for o, t in zip(off, truths, strict=True)]
        ),
    )
    if pred_means is not None:
        result['pred_mean_error'] = _root_mean_square(
            (np.stack(pred_means) - true_mean) / unit
        )
    if pred_vars is not None:
        result['pred_var_error'] = np.linalg.norm(
            np.stack(pred_vars) - true_var
        ) / np.linalg.norm(true_var)
    return {name: float(value) for name, value in result.items()}


def covered_modes(samples: np.ndarray, truth: Truth) -> tuple[float, float]:
    """Share of a scene's modes that the samples reach, and their distance from them.

    The distance of two pictures is the root mean square over pixels and channels. A
    sample counts for its nearest mode if it is nearer to it than half the distance
    from that mode to the next one. A mode is covered if one sample counts for it.

    Args:
        samples: (K,3,H,W).
        truth: of the same scene, range and channel order.

    Returns:
        Share of covered modes in [0, 1]; mean distance to the nearest mode.

    Example:
        >>> from mmagic_mr.data.synthetic.scenes import scene_labels, scene_truth
        >>> truth = scene_truth(scene_labels(0))
        >>> covered_modes(truth.modes[:2], truth)
        (0.5, 0.0)
        >>> covered_modes(truth.mean[None], truth)[0]
        0.0
    """

    def distances(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).mean((2, 3, 4)))

    between = distances(truth.modes, truth.modes)
    np.fill_diagonal(between, np.inf)
    to_modes = distances(samples, truth.modes)
    nearest, distance = to_modes.argmin(1), to_modes.min(1)
    counts = distance < TOLERANCE * between.min(1)[nearest]
    return len(set(nearest[counts])) / len(truth.modes), float(distance.mean())


def ideal_samples(
    draw: Callable[[np.random.Generator], np.ndarray], num_samples: int, seed
) -> np.ndarray:
    """What a perfect sampler draws: photos of the true distribution.

    Args:
        draw: a random generator to a photo, RGB (H,W,3), uint8.
        num_samples: K.
        seed: of the photos.

    Returns:
        (K,3,H,W), BGR, 0..255, as test_step gives samples.
    """
    rng = np.random.default_rng(seed)
    photos = np.stack([draw(rng) for _ in range(num_samples)])
    return photos.transpose(0, 3, 1, 2)[:, ::-1].astype(np.float64)


def _root_mean_square(value):
    return np.sqrt((value**2).mean())
