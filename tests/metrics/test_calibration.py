"""The verdict on samplers whose spread is known, in MMagic's evaluator."""

import numpy as np
import pytest
import torch
from helpers.metrics import SIZE, K, Model, evaluate
from PIL import Image

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.synthetic import scenes
from mmagic_mr.errors import UserError
from mmagic_mr.metrics.calibration import MomentCalibration


@pytest.mark.parametrize(
    ('c', 'word'), [(0.5, 'under-dispersed'), (1, 'ok'), (2, 'over-dispersed')]
)
def test_calibration_names_the_spread(c, word):
    result, (metric,) = evaluate(Model(c), dict(type='MomentCalibration', cells=(1, 4)))
    assert result['calibration/spread_skill_verdict'] == word
    assert result['calibration/cells4/spread_skill_verdict'] == word
    assert result['calibration/predictor_var_ratio'] == pytest.approx(c * c, rel=0.02)
    assert result['calibration/predictor_mean_rmse'] < 0.003
    exact = result['calibration/coverage90_exact']
    assert exact == pytest.approx(19 / 21)
    low, high = (result[f'calibration/coverage90_{end}'] for end in ('low', 'high'))
    assert low < result['calibration/coverage90'] < high
    # Of y ~ N(0, 1) between the outermost of 20 samples of N(0, c^2)
    due = {0.5: 0.634, 1: exact, 2: 0.994}[c]
    assert result['calibration/coverage90'] == pytest.approx(due, abs=0.01)
    assert (result['calibration/pit'] < 0.05) == (c == 1)
    by_key = {record.key: record for record in metric.records}
    assert sum(by_key['pit'].extra['pit']) == pytest.approx(1)
    curve = by_key['coverage90'].extra['curve']
    assert len(curve['x']) == K // 2 + 2
    assert curve['y'][-2] == pytest.approx(result['calibration/coverage90'])
    assert {r.samples for r in metric.records} == {K}
    assert {r.range for r in metric.records} == {'[0, 1]'}


def test_calibration_against_the_truth_of_the_dataset():
    result, _ = evaluate(
        Model(2),
        dict(type='MomentCalibration', cells=(1,), truth='helpers.metrics:truth'),
    )
    assert result['calibration/truth_var_ratio'] == pytest.approx(4, rel=0.02)


class Scenes(Model):
    """Draws from the true distribution of the demo's photos, spread c times."""

    def __init__(self, c, paths):
        super().__init__(c)
        self.paths = paths

    def val_step(self, data):
        from mmagic.structures import DataSample

        outputs = []
        for index in data:
            pair = np.array(Image.open(self.paths[index]))
            labels = scenes.read_labels(pair[:, SIZE:])
            rng = np.random.default_rng(index)
            photos = np.stack(
                [
                    scenes.take_photo(labels, look, rng)
                    for look in rng.integers(4, size=K)
                ]
            )
            photos = torch.tensor(photos[..., ::-1].copy()).permute(0, 3, 1, 2)
            mean = torch.tensor(scenes.truth_of_pair(self.paths[index]).mean.copy())
            output = DataSample(metainfo=dict(pair_path=str(self.paths[index])))
            output.set_tensor_data(
                dict(
                    samples=(mean + self.c * (photos - mean)).clamp(0, 255),
                    gt_img=torch.tensor(pair[:, :SIZE, ::-1].copy()).permute(2, 0, 1),
                )
            )
            outputs.append(output)
        return outputs


@pytest.mark.parametrize(
    ('c', 'word'), [(0.5, 'under-dispersed'), (1, 'ok'), (2, 'over-dispersed')]
)
def test_samplers_of_the_demo_scenes(c, word, tmp_path):
    """Four modes a pixel, nothing Gaussian: the right spread passes all the same."""
    scenes.write_pairs(tmp_path, num_train=1, num_val=64)
    model = Scenes(c, sorted((tmp_path / 'val').glob('*.png')))
    truth = 'mmagic_mr.data.synthetic.scenes:truth_of_pair'
    result, _ = evaluate(
        model,
        dict(type='MomentCalibration', cells=(1, 16), truth=truth),
        batch=64,
        inputs=64,
    )
    assert result['calibration/spread_skill_verdict'] == word
    assert result['calibration/cells16/spread_skill_verdict'] == word
    if c == 1:
        assert result['calibration/truth_var_ratio'] == pytest.approx(1, abs=0.05)
        assert result['calibration/gain'] == pytest.approx(2 * K / (K + 1), rel=0.05)
        assert result['calibration/outer'] == pytest.approx(1, abs=0.15)
        assert result['calibration/truth_mean_rmse'] < 0.01


def test_truth_that_is_not_there_is_named():
    for place in 'no_such_module:truth', 'helpers.metrics:nothing', 'helpers.metrics':
        with pytest.raises(UserError, match=f'truth={place!r}'):
            MomentCalibration(truth=place)
