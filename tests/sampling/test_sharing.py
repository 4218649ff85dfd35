"""Rows per input beside rows per sample: equal to the input repeated K times."""

import pytest
import torch
from torch import nn
from torch.nn.functional import pad, relu

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

    def assign(x, h):
        cat = alias = torch.cat([x, h], 1)
        cat *= h[:, :1]
        cat[:, 0] = 7
        return alias

    for op in add, activate, assign:
        check_equals_repeated(op, 2, 3)


@pytest.mark.parametrize('use', [lambda c: c.sum(), lambda c: torch.tanh(c).sum()])
def test_a_put_off_concatenation_serves_any_use(use):
    skip, h = torch.randn(2, 3, 4, 4), torch.randn(6, 2, 4, 4)
    with SharedForward(2, 3):
        cat = torch.cat([skip, h], 1)
        assert isinstance(cat, ChannelCat)
        assert cat.shape == (6, 5, 4, 4)
        total = use(cat)
    real = torch.cat([skip.repeat_interleave(3, 0), h], 1)
    torch.testing.assert_close(total, use(real))


def test_activations_in_place_leave_the_parts_alone():
    skip, h = torch.randn(2, 3, 4, 4), torch.randn(6, 2, 4, 4)
    before = skip.clone(), h.clone()
    with SharedForward(2, 3):
        cat = torch.cat([skip, h], dim=1)
        for act in nn.ReLU(inplace=True), nn.LeakyReLU(0.2, inplace=True):
            act(cat)
    assert torch.equal(skip, before[0])
    assert torch.equal(h, before[1])


def _gather(x, h):
    return h.gather(2, (4 * x).long())


def _scatter(x, h):
    return h.scatter_add(2, (4 * x).long(), h * 2)


OPERATIONS = {
    'add': lambda x, h: x + h,
    'add alpha': lambda x, h: torch.add(h, x, alpha=2),
    'add by keyword': lambda x, h: torch.add(input=x, other=h),
    'sub': lambda x, h: x - h,
    'rsub': lambda x, h: torch.rsub(x, h),
    'of 1': lambda x, h: (1 - x) * (1 - h),
    'mul': lambda x, h: h * x,
    'div': lambda x, h: h / (x + 1),
    'floordiv': lambda x, h: (8 * h).detach() // (x + 1).detach() + h,
    'mod': lambda x, h: h % (x + 1),
    'pow': lambda x, h: (x + 1) ** h,
    'maximum': lambda x, h: torch.maximum(x, h),
    'max': lambda x, h: torch.max(h, x),
    'minimum': lambda x, h: torch.minimum(x, h),
    'clamp': lambda x, h: h.clamp(max=x),
    'where': lambda x, h: torch.where(x > 0.5, x, h),
    'where, mask per input': lambda x, h: torch.where(x > 0.5, h, 0.0) + x,
    'where, mask per sample': lambda x, h: torch.where(h > 0.5, x, 2 * x) + h,
    'lerp': lambda x, h: torch.lerp(x, h, 0.3),
    'lerp, weight': lambda x, h: torch.lerp(h, 2 * h, x),
    'addcmul': lambda x, h: torch.addcmul(h, x, h),
    'compare': lambda x, h: (x < h) * h,
    'equal': lambda x, h: (x == h) + h,
    'broadcast': lambda x, h: x[:, :1] + h,
    'sum of all': lambda x, h: x.mean((1, 2), keepdim=True) * h,
    'constant': lambda x, h: torch.where(x > 0.5, h, torch.ones(4, dtype=x.dtype)),
    'stack': lambda x, h: torch.stack([x, h], 1),
    'cat': lambda x, h: torch.cat([x, h], 1),
    'cat by keyword': lambda x, h: torch.cat(tensors=[x, h], dim=1),
    'cat, last': lambda x, h: torch.cat([x, h], -1),
    'cat, twice': lambda x, h: torch.cat([torch.cat([x, h], 1), x], 1),
    'concat': lambda x, h: torch.concat([h, x], 1),
    'concatenate': lambda x, h: torch.concatenate([h, x], axis=1),
    'matmul': lambda x, h: x @ h.transpose(-1, -2),
    'einsum': lambda x, h: torch.einsum('n...i,n...j->n...ij', x, h),
    'mse': lambda x, h: torch.nn.functional.mse_loss(h, x, reduction='none'),
    'expand_as': lambda x, h: x.expand_as(h) + h,
    'gather': _gather,
    'scatter': _scatter,
    'mask': lambda x, h: torch.masked_fill(h, x > 0.5, 0.0) + x,
    'index by a mask': lambda x, h: h[x > 0.5].sum() * h + x,
    'cosine': lambda x, h: torch.nn.functional.cosine_similarity(x, h, dim=-1),
    'per input': lambda x, h: (2 * x).sum(1, keepdim=True) + h,
}


@pytest.mark.parametrize('shape', [(4, 4, 4), (4, 4), (4, 4, 4, 4)], ids=str)
@pytest.mark.parametrize(('n', 'k'), [(2, 3), (1, 3), (3, 1), (2, 2)])
@pytest.mark.parametrize('op', OPERATIONS.values(), ids=OPERATIONS)
def test_equals_the_repeated_input(op, n, k, shape):
    check_equals_repeated(op, n, k, shape)


@pytest.mark.parametrize('op', [lambda x, h: x + h, lambda x, h: torch.cat([h, x], 1)])
def test_codes_of_rank_two(op):
    check_equals_repeated(op, 2, 3, shape=(5,))


@pytest.mark.parametrize('op', IN_PLACE)
@pytest.mark.parametrize(('n', 'k'), [(1, 3), (3, 1)])
def test_in_place_with_one_input_or_one_sample(op, n, k):
    check_equals_repeated(op, n, k)


def test_in_place_changes_the_tensor_itself():
    x, h = (t.detach() for t in rows(2, 3))
    before = h.clone()
    with SharedForward(2, 3):
        result = h.add_(x)
    assert result is h
    torch.testing.assert_close(h, before + x.repeat_interleave(3, 0))


@pytest.mark.parametrize('seed', range(8))
def test_random_networks(seed):
    """Ten operations drawn at random, each on two of the tensors so far."""
    choose = torch.Generator().manual_seed(seed)
    names = [
        *('add', 'sub', 'mul', 'maximum', 'where', 'lerp', 'cat', 'mse', 'broadcast'),
        *('addcmul', 'per input', 'cat, twice'),
    ]
    steps = [torch.randint(1000, (3,), generator=choose).tolist() for _ in range(10)]
    weight = torch.randn(4, 16, 3, 3, dtype=torch.double, generator=choose) / 12

    def network(x, h):
        # What is per input stays so: the first two of each kind are kept.
        tensors = [x, h, torch.tanh(2 * x), torch.tanh(3 * h)]
        for name, a, b in steps:
            a, b = tensors[a % len(tensors)], tensors[b % len(tensors)]
            out = OPERATIONS[names[name % len(names)]](a, b)
            out = torch.nn.functional.leaky_relu(out, 0.1)
            channels = out.shape[1]
            out = torch.nn.functional.conv2d(out, weight[:, :channels], padding=1)
            tensors.append(torch.tanh(out))
        return torch.stack(tensors, -1).sum(-1)

    check_equals_repeated(network, 2, 3, shape=(4, 6, 6))


def weights_of(rows, columns):
    return torch.randn(rows, columns, dtype=torch.double)


@pytest.mark.parametrize('rows_of_weight', [2, 6])
def test_weights_are_no_rows(rows_of_weight):
    # Of 2 rows or of 6, as the tensors have: plain tensors, not nn.Parameter alone.
    r, n, k = rows_of_weight, 2, 3
    f = torch.nn.functional
    kernel, vector = torch.randn(r, 4, 3, 3).double(), torch.randn(r).double()

    def network(x, h):
        h = h + f.conv2d(x, kernel, padding=1).sum(1, keepdim=True)
        x = f.conv2d(x, kernel, vector, padding=1)
        x = f.batch_norm(x, None, None, vector, vector, training=True)
        h = f.prelu(f.conv2d(h, kernel, vector, padding=1), vector)
        h = h + vector.view(-1, 1, 1) + x
        h = f.linear(h.movedim(1, -1), weights_of(r, r).fill_(0.3), vector)
        h = h @ weights_of(r, r).fill_(0.2) * vector
        return torch.matmul(h.mean((1, 2)), weights_of(r, r).fill_(0.1))

    check_equals_repeated(network, n, k, shape=(4, 4, 4))


@pytest.mark.parametrize('rows_of_weight', [2, 6])
def test_parameters_are_not_repeated(rows_of_weight):
    weight = torch.nn.Parameter(torch.rand(rows_of_weight, 4, 4, dtype=torch.double))
    op = torch.nn.functional.bilinear
    check_equals_repeated(lambda x, h: op(x, h, weight), 2, 3, shape=(4,))


def test_indices_are_no_rows():
    table, x = torch.randn(6, 4), torch.tensor([0, 3])
    with SharedForward(2, 3):
        assert torch.equal(torch.nn.functional.embedding(x, table), table[x])
        assert table[x].shape == (2, 4)
        assert table.index_select(0, x).shape == (2, 4)


def test_vectors_beside_images_are_no_rows():
    mask, one, three = torch.ones(5, 4, 3) > 0, torch.ones(1), torch.ones(3)
    with SharedForward(1, 3):
        assert torch.where(mask, one, three).shape == mask.shape


def test_a_concatenation_of_rows_is_refused():
    x, h = rows(2, 3)
    with SharedForward(2, 3), pytest.raises(UserError, match='along the rows'):
        torch.cat([x, h])


def test_what_pytorch_refuses_stays_its_error():
    x, h = rows(2, 3)
    with SharedForward(2, 3):
        with pytest.raises(RuntimeError, match='size'):
            torch.ones(4, 3, 4, 4) + h
        with pytest.raises(RuntimeError, match='size'):
            x[:, :, :3] + h


def test_expand():
    shared = SharedForward(2, 3)
    x, h = torch.arange(2), torch.arange(6)
    assert shared.expand(x).tolist() == [0, 0, 0, 1, 1, 1]
    assert shared.expand(h) is h
    with pytest.raises(UserError, match='5 rows belongs neither'):
        shared.expand(torch.arange(5))


def test_a_put_off_concatenation_knows_its_shape_without_being_carried_out():
    x, h = rows(2, 3)
    with SharedForward(2, 3):
        cat = torch.cat([x, h], 1)
        assert cat.size() == cat.shape == (6, 6, 4, 4)
        assert (cat.size(1), cat.size(-1), cat.dim(), cat.ndim) == (6, 4, 4, 4)
        assert (cat.dtype, cat.device.type, cat.requires_grad) == (x.dtype, 'cpu', True)
        assert len(cat.parts) == 2
        assert len(torch.cat([cat, x], 1).parts) == 3
        assert not isinstance(cat, torch.Tensor)
        assert isinstance(cat.materialize(), torch.Tensor)


@pytest.mark.parametrize('groups', [1, 2])
def test_convolutions_of_a_put_off_concatenation(groups):
    f = torch.nn.functional
    weight = torch.randn(4, 8 // groups, 3, 3, dtype=torch.double)
    transposed = torch.randn(8, 4 // groups, 3, 3, dtype=torch.double)

    def network(x, h):
        cat = f.leaky_relu(torch.cat([x, h], 1) - 0.5, 0.2)
        other = f.elu(torch.cat([h, x], 1))
        a = f.conv2d(cat, weight, None, 1, 1, 1, groups)
        return a + f.conv_transpose2d(other, transposed, padding=1, groups=groups)

    check_equals_repeated(network, 2, 3, shape=(4, 4, 4))


@pytest.mark.parametrize('mode', ['constant', 'reflect', 'replicate'])
def test_padding_of_a_put_off_concatenation_leaves_it_put_off(mode):
    """As before a convolution with padding of another kind than zeros."""
    x, h = rows(2, 3)
    with SharedForward(2, 3):
        padded = pad(torch.cat([x, h], 1), (1, 2, 2, 1), mode)
        assert isinstance(padded, ChannelCat)
        assert [len(part) for part in padded.parts] == [2, 6]
        in_channels = pad(torch.cat([x, h], 1), (0, 0, 0, 0, 1, 1))
        assert in_channels.shape[1] == 2 + x.shape[1] + h.shape[1]
    both = torch.cat([x.repeat_interleave(3, 0), h], 1)
    expected = pad(both, (1, 2, 2, 1), mode)
    assert torch.equal(padded.materialize(), expected)


def test_a_part_that_changes_after_the_concatenation():
    x, h = (t.detach() for t in rows(2, 3))
    with SharedForward(2, 3):
        cat = torch.cat([x, h], 1)
        h.add_(1)
        with pytest.raises(UserError, match='changed in place'):
            relu(cat)


def test_gradients_of_a_put_off_concatenation_are_not_lost():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    x, h = rows(2, 3)
    with SharedForward(2, 3):
        with pytest.raises(UserError, match='gradients would be lost'):
            Double.apply(torch.cat([x, h], 1))
        with torch.no_grad():
            cat = torch.cat([x, h], 1)
        assert not (cat + 0).requires_grad


@pytest.mark.parametrize('n', [1, 2])
def test_batch_sizes_read_off_other_tensors(n):
    """Codes cut by the rows of the input, and styles by those of the image."""

    def codes(x, h):
        h = h + x
        return (
            h.flatten(1).view(x.size(0), -1, 4) + h.reshape((len(x), -1))[:, :12, None]
        )

    def styles(x, h):
        return (h + x) * x.mean((2, 3)).view(len(h), 3, 1, 1)

    def folded(x, h):  # into channels, for a convolution with a group for each row
        h = (h + x).view(1, -1, 4, 4)
        return h.view(-1, 3, 4, 4)

    for op in codes, styles, folded:
        x, h = rows(n, 3)
        with SharedForward(n, 3):
            ours = op(x, h)
        repeated = x.repeat_interleave(3, 0)
        torch.testing.assert_close(ours, op(repeated, h))
