"""Rows per input beside rows per sample: equal to the input repeated K times."""

import pytest
import torch
from torch.nn.functional import relu

from mmagic_mr.errors import UserError
from mmagic_mr.sampling.channel_cat import ChannelCat
from mmagic_mr.sampling.sharing import SharedForward


def rows(n, k, shape=(3, 4, 4)):
    """A per-input and a per-sample tensor: leaves that need gradients, in double."""
    options = dict(dtype=torch.double, requires_grad=True)
    return torch.rand(n, *shape, **options), torch.rand(n * k, *shape, **options)


def check_equals_repeated(op, n, k, shape=(3, 4, 4)):
    """Values and gradients of ``op(per input, per sample)``."""
    x, h = rows(n, k, shape)
    with SharedForward(n, k):
        ours = op(x, h)
        ours = torch.add(ours, 0)  # carries out what may be put off
    expected = op(x.repeat_interleave(k, 0), h)
    torch.testing.assert_close(ours, expected)
    direction = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(ours, (x, h), direction, allow_unused=True),
        torch.autograd.grad(expected, (x, h), direction, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def _add(x, h):
    h = 2 * h
    h.add_(x)
    return h


def _add_with_alpha(x, h):
    h = 2 * h
    h.add_(x, alpha=3)
    return h


def _iadd(x, h):
    h = alias = 2 * h
    h += x
    return alias


def _isub(x, h):
    h = alias = 2 * h
    h -= x
    return alias


def _imul(x, h):
    h = alias = 2 * h
    h *= x
    return alias


def _idiv(x, h):
    h = alias = 2 * h
    h /= x + 1
    return alias


def _copy(x, h):
    h = 2 * h
    h.copy_(x)
    return h


def _lerp(x, h):
    h = 2 * h
    h.lerp_(x, 0.3)
    return h


def _addcmul(x, h):
    h = 2 * h
    h.addcmul_(x, x)
    return h


def _assign(x, h):
    h = 2 * h
    h[:, :2] = x[:, 1:]
    return h


IN_PLACE = [
    _add,
    _add_with_alpha,
    _iadd,
    _isub,
    _imul,
    _idiv,
    _copy,
    _lerp,
    _addcmul,
    _assign,
]


@pytest.mark.parametrize('op', IN_PLACE)
def test_in_place_on_a_per_sample_tensor(op):
    check_equals_repeated(op, 2, 3)


def test_out():
    x, h = (t.detach() for t in rows(2, 3))
    out = torch.empty_like(h)
    with SharedForward(2, 3):
        torch.add(h, x, out=out)
    torch.testing.assert_close(out, h + x.repeat_interleave(3, 0))


@pytest.mark.parametrize(
    'op',
    [
        lambda x, h: x.add_(h),
        lambda x, h: x.mul_(h),
        lambda x, h: x.__iadd__(h),
        lambda x, h: torch.add(x, h, out=x),
    ],
)
@pytest.mark.parametrize('n', [1, 2])
def test_in_place_on_a_per_input_tensor_is_refused(op, n):
    x, h = (t.detach() for t in rows(n, 3))
    with pytest.raises(UserError, match=r'write h = h \+ skip'), SharedForward(n, 3):
        op(x, h)


CAT_USES = {
    'radd': lambda c: 1 + c,
    'add': lambda c: c + c,
    'neg': lambda c: -c,
    'sub': lambda c: 1 - c,
    'div': lambda c: c / 2,
    'pow': lambda c: c**2,
    'compare': lambda c: (c > 0.5).double() + c,
    'equal': lambda c: (c == c).double() + c,
    'index': lambda c: c[0],
    'slice': lambda c: c[:, 1:4],
    'iterate': lambda c: torch.stack(list(c)),
    'length': lambda c: c.mean() * len(c),
    'matmul': lambda c: c @ torch.ones(4, 2, dtype=torch.double),
    'abs': lambda c: abs(c),
}


@pytest.mark.parametrize('use', CAT_USES.values(), ids=CAT_USES)
def test_a_put_off_concatenation_has_a_tensors_operators(use):
    def op(x, h):
        cat = torch.cat([x, h], 1)
        assert isinstance(cat, ChannelCat) == (x.shape != h.shape)
        return use(cat)

    check_equals_repeated(op, 2, 3)


def test_in_place_on_a_put_off_concatenation():
    def add(x, h):
        cat = torch.cat([x, h], 1)
        cat.add_(1)
        return cat

    def activate(x, h):
        cat = torch.cat([x - 0.5, h - 0.5], 1)
        relu(cat, inplace=True)
        return cat

    for op in add, activate:
        check_equals_repeated(op, 2, 3)
