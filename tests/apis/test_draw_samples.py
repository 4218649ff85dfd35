"""`mmagic_mr.apis`: one picture gives the same samples, wherever it comes from."""

import numpy as np
import pytest
import torch
from helpers import hosts, pix2pix, small_run
from helpers.inference import sample_image
from PIL import Image

from mmagic_mr.apis import SampleSet, draw_samples, load_model
from mmagic_mr.errors import MissingFileError, UserError


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return small_run.write_pix2pix(tmp_path_factory.mktemp('runs') / 'pix2pix')


@pytest.fixture(scope='module')
def model(run):
    return load_model(run, device='cpu')


@pytest.fixture(scope='module')
def label(tmp_path_factory):
    return small_run.write_picture(tmp_path_factory.mktemp('images') / 'label.png')


@pytest.fixture(scope='module')
def drawn(model, label):
    return draw_samples(model, label, 4, seed=3)


def test_samples_are_those_of_the_model_in_rgb_from_0_to_1(model, label, drawn):
    expected = sample_image(model, label, 4, 3).samples
    assert drawn.samples.shape == (4, 3, 32, 32)
    torch.testing.assert_close(drawn.samples.flip(1) * 255, expected)
    assert drawn.samples.std(0).mean() > 0.01
    torch.testing.assert_close(drawn.mean, drawn.samples.mean(0))
    torch.testing.assert_close(drawn.std, drawn.samples.std(0), atol=1e-4, rtol=0)
    picture = np.asarray(Image.open(label))
    assert np.array_equal(np.rint(drawn.input.permute(1, 2, 0) * 255), picture)
    assert drawn.target is None


@pytest.mark.parametrize(
    'kind', ['text', 'pil', 'array', 'fractions', 'tensor', 'palette', 'same z']
)
def test_a_picture_in_memory_is_as_good_as_its_file(model, label, drawn, kind):
    image = Image.open(label)
    array = np.asarray(image)
    same = {
        'text': str(label),
        'pil': image,
        'array': array,
        'fractions': array / 255,
        'tensor': torch.from_numpy(array.copy()).permute(2, 0, 1),
        'palette': image.quantize(),
        'same z': image,
    }[kind]
    source = dict(z=drawn.z) if kind == 'same z' else dict(num_samples=4, seed=3)
    assert torch.equal(draw_samples(model, same, **source).samples, drawn.samples)


def test_many_images_of_two_sizes(model, label, drawn, tmp_path):
    for i, size in enumerate((32, 64, 32, 32)):
        small_run.write_picture(tmp_path / f'{i}.png', size, seed=i)
    many = draw_samples(model, tmp_path, 2, batch_size=2)
    assert isinstance(many, SampleSet)
    assert [one.name for one in many] == ['0', '1', '2', '3']
    assert [one.samples.shape[-1] for one in many] == [32, 64, 32, 32]
    for one in many:
        alone = draw_samples(model, tmp_path / f'{one.name}.png', 2)
        torch.testing.assert_close(alone.samples, one.samples, rtol=0, atol=1e-5)
    mixed = draw_samples(model, [label, drawn.input, np.zeros((32, 32))], 4, seed=3)
    assert [one.name for one in mixed] == ['label', 'image_1', 'image_2']
    torch.testing.assert_close(mixed[1].samples, drawn.samples, rtol=0, atol=1e-5)
    assert len(draw_samples(model, np.zeros((1, 32, 32, 3)), 1)) == 1


def test_files(model, drawn, tmp_path):
    path = drawn.save(tmp_path, maps=('png', 'tiff', 'npy'))
    assert path == tmp_path / 'label.png'
    assert np.asarray(Image.open(path)).shape == drawn.collage().shape
    files = sorted(p.name for p in (tmp_path / 'label').iterdir())
    names = ['000.png', '001.png', '002.png', '003.png', 'mean.png']
    assert files == [*names, 'std.npy', 'std.png', 'std.tiff']
    second = np.asarray(Image.open(tmp_path / 'label/001.png'))
    assert np.array_equal(second, drawn.pictures()[1])
    level = np.load(tmp_path / 'label/std.npy')
    assert level.dtype == np.float32
    expected = (drawn.samples.var(0).mean(0)) ** 0.5
    np.testing.assert_allclose(level, expected, atol=1e-4)
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'label/std.tiff')), level)
    assert np.asarray(Image.open(tmp_path / 'label/mean.png')).shape == (32, 32, 3)
    many = SampleSet([drawn, drawn.near(1, 4)])
    assert [p.name for p in many.save(tmp_path)] == ['label.png', 'label_near_1.png']
    assert not (tmp_path / 'label_near_1/std.png').exists()


def test_temperature_brings_samples_together(model, label, drawn):
    spread = [
        draw_samples(model, label, 4, seed=3, temperature=t).std.mean()
        for t in (0.001, 0.5, 1)
    ]
    assert spread[0] < 0.02 * spread[2]
    assert spread[0] < spread[1] < spread[2]
    assert spread[2] == drawn.std.mean()


def test_from_one_sample_to_another(drawn):
    way = drawn.interpolate(0, 2, steps=9)
    ends = torch.stack([drawn.samples[0], drawn.samples[2]])
    torch.testing.assert_close(way.samples[[0, -1]], ends, rtol=0, atol=1e-5)
    whole = (ends[1] - ends[0]).norm()
    lengths = (way.samples[1:] - way.samples[:-1]).flatten(1).norm(dim=1)
    assert lengths.max() < 0.6 * whole
    for site, z in way.z.items():  # Gaussian noise keeps its length
        middle = z[4].norm()
        assert middle > 0.85 * drawn.z[site][[0, 2]].flatten(1).norm(dim=1).mean()


def test_more_like_one(drawn):
    def distance(d):
        near = drawn.near(1, num_samples=6, distance=d, seed=5)
        return (near.samples - drawn.samples[1]).square().mean().sqrt()

    assert distance(0) < 1e-6
    assert 1e-3 < distance(0.2) < 0.6 * distance(1)
    again = drawn.near(1, 6, 0.2, seed=5).samples
    assert torch.equal(drawn.near(1, 6, 0.2, seed=5).samples, again)
    assert not torch.equal(drawn.near(1, 6, 0.2, seed=6).samples, again)


@pytest.mark.parametrize('kind', ['uniform', 'bernoulli', 'categorical'])
def test_other_noise_goes_the_same_ways(tmp_path, label, kind):
    noise = dict(preset='pix2pix', type=kind)
    run = small_run.write_pix2pix(tmp_path / 'run', noise=noise)
    drawn = draw_samples(load_model(run, device='cpu'), label, 3)
    way = drawn.interpolate(0, 1, 3)
    torch.testing.assert_close(way.samples[2], drawn.samples[1], rtol=0, atol=1e-5)
    near = drawn.near(0, 2, distance=0)
    expected = drawn.samples[[0, 0]]
    torch.testing.assert_close(near.samples, expected, rtol=0, atol=1e-5)


def test_the_hole_is_filled_and_the_rest_left(tmp_path):
    run = small_run.write_inpainting(tmp_path / 'run')
    model = load_model(run, device='cpu')
    face = Image.open(small_run.write_picture(tmp_path / 'face.png'))
    hole = np.zeros((32, 32), bool)
    hole[8:20, 6:24] = True
    Image.fromarray(np.uint8(hole) * 255).save(tmp_path / 'hole.png')
    drawn = draw_samples(model, face, 3, masks=hole)
    changed = (drawn.pictures() != np.asarray(face)).any(-1)
    assert not changed[:, ~hole].any()
    assert changed[:, hole].all(1).any()
    assert not drawn.uncertainty[~hole].any()
    assert drawn.uncertainty[hole].mean() > 0
    for same in (tmp_path / 'hole.png', torch.from_numpy(hole), [hole * 1.0]):
        again = draw_samples(model, face, 3, masks=same)
        assert torch.equal(again.samples, drawn.samples)
    with pytest.raises(UserError, match=r'image_0\.png: inpainting needs a mask'):
        draw_samples(model, face, 2)
    with pytest.raises(UserError, match='2 masks for 1 images'):
        draw_samples(model, face, 2, masks=[hole, hole])
    with pytest.raises(UserError, match='hole'):
        draw_samples(model, face, 2, masks=hole & False)


def test_half_precision_is_near(model, label, drawn):
    half = draw_samples(model, label, 4, seed=3, amp='auto')
    assert half.samples.dtype == torch.float32
    assert (half.samples - drawn.samples).abs().mean() < 0.02


def test_a_predictor_is_asked(label, tmp_path, drawn):
    config = pix2pix.config(mr_loss=dict(type='ProxyMRLoss'))
    run = small_run.write_run(tmp_path / 'run', config, small_run.PAIRS)
    model = load_model(run, device='cpu')
    hosts.trained(model)
    predicted = draw_samples(model, label, 2).predicted
    expected = sample_image(model, label, 2, 0)
    torch.testing.assert_close(predicted.mean.flip(0) * 255, expected.pred_mean)
    variance = (predicted.std.flip(0) * 255).square()
    torch.testing.assert_close(variance, expected.pred_var)
    with pytest.raises(UserError, match='this MRPix2Pix has no predictor'):
        _ = drawn.predicted


def test_wrong_images_and_numbers_say_what_is_wrong(model, label, drawn, tmp_path):
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG no')
    image = drawn.input
    clear = Image.new('RGBA', (32, 32))
    for words, call in {
        r'broken\.png is not a readable image': lambda: (tmp_path / 'broken.png',),
        'no image or folder gone': lambda: ('gone.png',),
        r'image_0\.png is 30x32, .*multiples of 32': lambda: (image[..., :30],),
        r'shape \(4, 32, 32\)': lambda: (image[[0, 0, 1, 2]],),
        'values from 0.0 to 200.0': lambda: (np.eye(32) * 200,),
        'from nan': lambda: (np.full((32, 32), np.nan),),
        'int is no image': lambda: (7,),
        'no image: give': lambda: ([],),
        'transparent': lambda: (clear,),
        'of at least 1, got 0': lambda: (image, 0),
        'seed must be a whole number': lambda: (image, 2, 0.5),
    }.items():
        with pytest.raises(UserError, match=words) as error:
            draw_samples(model, *call())
        assert '/mmagic_mr_' not in str(error.value)  # no file that nobody knows
    for words, call in {
        'MRPix2Pix takes no mask': dict(num_samples=2, masks=np.ones((32, 32))),
        'above 0, got -1': dict(num_samples=2, temperature=-1.0),
        "amp='fp16' needs a GPU": dict(num_samples=2, amp='fp16'),
        'one of .* got .fp8': dict(num_samples=2, amp='fp8'),
        'z lacks the noise site': dict(z={'other': torch.zeros(2, 1, 1, 1)}),
        'z is given: scale z': dict(z=drawn.z, temperature=0.5),
    }.items():
        with pytest.raises(UserError, match=words):
            draw_samples(model, label, **call)
    for words, call in {
        'one sample has no standard deviation': lambda d: draw_samples(
            model, label, 1
        ).save(tmp_path, maps=['png']),
        'no sample 4: there are 4': lambda d: d.near(4),
        'no sample -1': lambda d: d.interpolate(0, -1),
        'at least 2, got 1': lambda d: d.interpolate(0, 1, 1),
        'from 0 to 1, got 1.5': lambda d: d.near(0, distance=1.5),
        "not 'jpg'": lambda d: d.save(tmp_path, maps=['jpg']),
    }.items():
        with pytest.raises(UserError, match=words):
            call(drawn)


def test_what_is_no_run_is_named(run, tmp_path):
    with pytest.raises(MissingFileError, match='no run or config nothing'):
        load_model('nothing')
    with pytest.raises(MissingFileError, match='holds no config'):
        load_model(tmp_path)
    with pytest.raises(MissingFileError, match='did you mean pix2pix_recommended_maps'):
        load_model('pix2pix_recommended_map')
    with pytest.raises(UserError, match='its weights are in a checkpoint'):
        load_model('pix2pix_recommended_maps', device='cpu')
    with pytest.raises(MissingFileError, match=r'no checkpoint a\.pth'):
        load_model('pix2pix_recommended_maps', 'a.pth')
    with pytest.raises(UserError, match='another architecture'):
        load_model('pix2pix_recommended_maps', run, device='cpu')
    with pytest.raises(UserError, match="'abacus' is not to be had"):
        load_model(run, device='abacus')
    (run / 'text.py').write_text('import os, sys')
    with pytest.raises(UserError, match='no config of mmengine'):
        load_model(run / 'text.py', run)


def test_a_model_of_one_output_is_refused(tmp_path, label):
    plain = hosts.stock_config(pix2pix.config())
    with pytest.raises(UserError, match='Pix2Pix gives one output'):
        load_model(small_run.write_run(tmp_path / 'run', plain, small_run.PAIRS))
    silent = small_run.write_pix2pix(tmp_path / 'silent', noise=None, num_samples=1)
    drawn = draw_samples(load_model(silent, device='cpu'), label)
    assert len(drawn) == 1
    with pytest.raises(UserError, match='has no noise'):
        drawn.near(0)
