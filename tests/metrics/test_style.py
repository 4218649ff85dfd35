"""Samplers of known faults on letters: what every metric of the data set gives them."""

import numpy as np
import pytest
import torch
from helpers.elsewhere import second_device
from helpers.letters import write_letters
from helpers.metrics import PIXEL, evaluate, needs_trunk

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.letters.atlas import read_atlas
from mmagic_mr.data.letters.known import styled_pair
from mmagic_mr.metrics.functional.style import expected_reached
from mmagic_mr.metrics.record import notes
from mmagic_mr.metrics.truth import reference_samplers

K, MANY = 20, 30
TRUTH = dict(truth='mmagic_mr.data.letters.known:styled_pair')
STYLE = dict(
    type='StyleConsistency',
    **TRUTH,
    distance=PIXEL,
    inputs=12,
    mode_inputs=6,
    many=MANY,
)
CALIBRATION = dict(type='MomentCalibration', **TRUTH, cells=(1, 4, 16))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_letters(tmp_path_factory.mktemp('fonts'))


class Sampler(torch.nn.Module):
    """Draws from what is known: all of an answer, or parts of it on their own."""

    target_field = 'gt_img'

    def __init__(self, root, kind):
        super().__init__()
        self.root, self.kind, self.data_preprocessor = root, kind, None
        self.names = read_atlas(root).names('val')

    def path(self, index):
        return f'letters://{self.root}/pairs/val/{self.names[index]}.bmp'

    def samples(self, truth, count, rng):
        """RGB in [0, 1]."""
        drawn = reference_samplers(truth, count, rng)
        if self.kind == 'halves':
            halves = drawn['perfect sampler'].clone()
            halves[..., 32:] = reference_samplers(truth, count, rng)['perfect sampler'][
                ..., 32:
            ]
            return halves
        if self.kind == 'one':
            return drawn['perfect sampler'][:1].expand(count, -1, -1, -1)
        return drawn[self.kind]

    def val_step(self, data, num_samples=K):
        from mmagic.structures import DataSample

        outputs = []
        for index in data:
            truth = styled_pair(self.path(index))
            rng = np.random.default_rng([index, num_samples])
            samples = self.samples(truth, num_samples, rng)
            target = reference_samplers(truth, 1, rng)['perfect sampler'][0]
            output = DataSample(metainfo=dict(pair_path=self.path(index)))
            output.set_tensor_data(dict(samples=255 * samples, gt_img=255 * target))
            outputs.append(output)
        return outputs


def judged(root, kind, inputs=40):
    metrics = STYLE, dict(type='AnswerDistance', **TRUTH), CALIBRATION
    return evaluate(Sampler(root, kind), *metrics, batch=7, inputs=inputs)


@pytest.fixture(scope='module')
def perfect(root):
    return judged(root, 'perfect sampler')


def test_a_perfect_sampler_scores_what_theory_says(perfect):
    result, (style, answers, _) = perfect
    for key in 'answers/energy', 'answers/mmd':
        assert result[f'{key}_low'] < 0 < result[f'{key}_high']
        assert abs(result[key]) < 1e-2
    for cell in '', 'cells4/', 'cells16/':
        ratio = f'calibration/{cell}spread_skill'
        assert result[f'{ratio}_low'] < 1 < result[f'{ratio}_high']
    assert result['calibration/truth_var_ratio'] == pytest.approx(1, abs=0.05)
    # Answers themselves: always of one style; two samples are so in a fifth of cases
    assert result['style/pixel_same'] == 1
    assert result['style/pixel_chance'] == pytest.approx(1 / 5, abs=0.05)
    assert result['style/distance'] == pytest.approx(0, abs=1e-6)
    assert result['style/reached'] == pytest.approx(expected_reached(MANY, 5), abs=0.1)
    by_key = {record.key: record for record in style.records + answers.records}
    assert by_key['energy'].protocol.startswith('all 5 real answers')
    assert by_key['pixel'].inputs == 12
    assert (by_key['reached'].inputs, by_key['reached'].samples) == (6, MANY)
    for record in by_key.values():
        assert {*record.extra['references']} == {
            'perfect sampler',
            'mean',
            'independent pixels',
        }
        assert 'independent pixels' in notes(dict(extra=record.extra))


@pytest.mark.parametrize('kind', ['mean', 'independent pixels'])
def test_the_references_are_what_such_samplers_score(root, perfect, kind):
    known = {
        record.key: record.extra['references'][kind]
        for metric in perfect[1][:2]
        for record in metric.records
    }
    _, metrics = judged(root, kind)
    found = {record.key: record for metric in metrics[:2] for record in metric.records}
    exact = kind == 'mean'
    for key, value in known.items():
        assert found[key].value == pytest.approx(
            value, abs=1e-3 if exact else 0.6 if key == 'reached' else 0.05
        )
    assert known['energy'] > 0.01
    assert known['mmd'] > 0.01
    assert known['pixel'] < 0.05
    if exact:
        assert known['reached'] == 1
        assert known['pixel'] == 0


def test_the_mean_is_as_far_as_brute_force_says(root, perfect):
    """2 E|m - a| - E|a - a'| over all pairs, in root mean squares."""
    values = []
    model = Sampler(root, 'mean')
    for index in range(40):
        answers = styled_pair(model.path(index)).answers / 255
        mean = answers.mean(0)
        to_mean = [np.sqrt(((mean - a) ** 2).mean()) for a in answers]
        between = [np.sqrt(((a - b) ** 2).mean()) for a in answers for b in answers]
        values.append(2 * np.mean(to_mean) - np.mean(between))
    records = {record.key: record for record in perfect[1][1].records}
    known = records['energy'].extra['references']
    assert known['mean'] == pytest.approx(np.mean(values), abs=1e-6)


def test_halves_of_different_typefaces_are_found(root, perfect):
    result, _ = judged(root, 'halves')
    assert result['style/pixel'] == pytest.approx(0, abs=0.12)
    assert perfect[0]['style/pixel'] == pytest.approx(0.8, abs=0.05)
    assert result['answers/energy_low'] > 0.005
    # Blind to it: each pixel is right by itself
    assert result['calibration/truth_var_ratio'] == pytest.approx(1, abs=0.05)


def test_one_typeface_for_an_input_has_no_consistency(root):
    result, _ = judged(root, 'one', inputs=14)
    assert (result['style/pixel_same'], result['style/pixel']) == (1, 0)
    assert result['style/reached'] == 1


@needs_trunk
def test_by_the_trunk_of_lpips(root):
    from mmagic_mr.metrics.networks.perceptual import PerceptualDistance

    distance, images = PerceptualDistance(), torch.rand(5, 3, 64, 32)
    points = distance.points(images)
    pairs = torch.combinations(torch.arange(5))
    squared = torch.cdist(points, points)[pairs[:, 0], pairs[:, 1]] ** 2
    assert squared.numpy() == pytest.approx(distance.pairs(images, pairs), rel=1e-3)
    lpips = dict(STYLE, distance=dict(name='lpips'), inputs=3, mode_inputs=1)
    result, (metric,) = evaluate(Sampler(root, 'perfect sampler'), lpips, inputs=6)
    assert result['style/lpips_same'] == 1
    (record,) = [record for record in metric.records if record.key == 'lpips']
    assert record.network == 'alex v0.1'
    assert record.inputs == 3


def test_without_parts_there_are_no_numbers():
    from helpers.metrics import Model

    for truth in {}, dict(truth='helpers.metrics:truth'):
        options = dict(type='StyleConsistency', distance=PIXEL, **truth)
        result, (metric,) = evaluate(Model(), options)
        assert (result, metric.records) == ({}, [])


class OnDevice(Sampler):
    """All that it gives is there."""

    def val_step(self, data, num_samples=K):
        outputs = super().val_step(data, num_samples)
        for output in outputs:
            moved = {name: value.to('meta') for name, value in output.items()}
            output.set_tensor_data(moved)
        return outputs


def test_on_a_device_the_numbers_are_the_same(root):
    """The one metric that test_devices.py leaves out: its truth must have styles."""
    expected, _ = evaluate(Sampler(root, 'halves'), STYLE, batch=7, inputs=12)
    with second_device():
        found, _ = evaluate(OnDevice(root, 'halves'), STYLE, batch=7, inputs=12)
    numbers = {k: v for k, v in expected.items() if isinstance(v, int | float)}
    assert 'style/reached' in numbers
    assert {k: found[k] for k in numbers} == pytest.approx(numbers, nan_ok=True)
