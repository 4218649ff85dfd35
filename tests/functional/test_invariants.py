"""What must not change a loss, or must change it by a known factor."""

import numpy as np
import pytest
import torch
from helpers.formulas import all_variants, draw, evaluate

from mmagic_mr.functional import (
    mr_loss,
)


@all_variants
@pytest.mark.parametrize('num_samples', [6, 7])
def test_the_order_of_the_samples_does_not_matter(
    kind, distribution, order, estimator, num_samples
):
    samples = draw(2, num_samples, 3, 4, 5)
    args = distribution, order, estimator
    torch.testing.assert_close(
        evaluate(kind, samples[:, torch.randperm(num_samples)], *args),
        evaluate(kind, samples, *args),
    )


@all_variants
def test_scaling_and_shifting(kind, distribution, order, estimator):
    samples = draw(2, 6, 3, 4, 5)
    args = distribution, order, estimator
    loss = evaluate(kind, samples, *args)
    scaled = evaluate(kind, 3 * samples + 2, *args, scale=3, shift=2)
    degree = 1 if kind == 'mr' and distribution == 'laplace' else 2
    if order == 1:
        expected = 3**degree * loss
    elif kind == 'mr':
        expected = loss + np.log(3)
    else:
        first = evaluate(kind, samples, distribution, 1, estimator)
        degree = 4 if distribution == 'gaussian' else 2
        expected = 9 * first + 3**degree * (loss - first)
    torch.testing.assert_close(scaled, expected)


def test_min_noise_scales_as_the_dispersion():
    samples, target = draw(2, 6, 3, 4, 5), draw(2, 3, 4, 5)
    for distribution, degree in (('gaussian', 2), ('laplace', 1)):
        for estimator in ('paper', 'unbiased'):
            args = distribution, 2, estimator
            torch.testing.assert_close(
                mr_loss(3 * samples, 3 * target, *args, 0.01 * 3**degree),
                mr_loss(samples, target, *args, 0.01) + np.log(3),
            )
