"""Bad input is refused with a sentence that names it; torch is enough."""

import subprocess
import sys

import pytest
import torch
from helpers.formulas import all_variants, draw, evaluate

from mmagic_mr.errors import UserError
from mmagic_mr.functional import (
    Moments,
    masked_mean,
    mr_loss,
    nll,
    proxy_mr_loss,
    sample_moments,
)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('cauchy', 2, 'paper'), r"distribution must be one of 'gaussian', 'laplace'"),
        (('gaussian', 3, 'paper'), 'order must be one of 1, 2, got 3'),
        (('gaussian', 2, 'best'), r"estimator must be one of 'paper', 'unbiased'"),
    ],
)
def test_unknown_options_are_refused(options, message):
    samples, target = draw(1, 4, 1, 2, 2), draw(1, 1, 2, 2)
    with pytest.raises(UserError, match=message):
        mr_loss(samples, target, *options)
    with pytest.raises(UserError, match=message):
        proxy_mr_loss(samples, Moments(target, target), *options)
    if options[2] == 'paper':
        with pytest.raises(UserError, match=message):
            nll(target, target, target, *options[:2])
    if options[1] == 2:
        with pytest.raises(UserError, match=message):
            sample_moments(samples, options[0], options[2])


@all_variants
def test_too_few_samples_are_refused(kind, distribution, order, estimator):
    needed = {('paper', 1): 1, ('paper', 2): 2, ('unbiased', 1): 2, ('unbiased', 2): 4}
    least = needed[estimator, order]
    args = distribution, order, estimator
    loss = evaluate(kind, draw(1, least, 1, 2, 2), *args)
    assert loss.isfinite().all()
    message = rf'Order {order} .*K = {least} .*got K = {least - 1}\.'
    with pytest.raises(UserError, match=message):
        evaluate(kind, draw(1, least - 1, 1, 2, 2), *args)


def test_wrong_shapes_are_refused():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    with pytest.raises(UserError, match=r'\(N, K, C, H, W\).*\(2, 3, 4, 5\)'):
        sample_moments(target, 'gaussian')
    with pytest.raises(
        ValueError, match=r'target .*\(2, 3, 4, 5\), got \(2, 1, 4, 5\)'
    ):
        mr_loss(samples, target[:, :1], 'gaussian')
    with pytest.raises(UserError, match=r'target\.dispersion .*got \(1, 3, 4, 5\)'):
        proxy_mr_loss(samples, Moments(target, target[:1]), 'gaussian')
    with pytest.raises(UserError, match=r'log_dispersion .*got \(2, 1, 4, 5\)'):
        nll(target, target[:, :1], target, 'gaussian')
    with pytest.raises(UserError, match='log_dispersion, got None'):
        nll(target, None, target, 'gaussian')
    with pytest.raises(UserError, match=r'mask .*\(2, 1, 4, 5\), got \(2, 3, 4, 5\)'):
        masked_mean(target, torch.ones(2, 3, 4, 5))


def test_a_proxy_target_must_be_moments():
    samples, target = draw(2, 4, 3, 4, 5), draw(2, 3, 4, 5)
    for wrong in (target, (target, target)):
        with pytest.raises(UserError, match=f'got {type(wrong).__name__}'):
            proxy_mr_loss(samples, wrong, 'gaussian')


def test_importing_it_loads_torch_only():
    code = (
        'import sys, mmagic_mr.functional; '
        'print({"mmagic", "mmengine", "mmcv", "cv2"} & set(sys.modules))'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == 'set()'
