"""Pictures of pairs of letters: which there are, what is in them, what is known."""

from collections import Counter

import numpy as np
import pytest
import torch
from helpers.letters import HELD_OUT, PLAIN, TRAINING, write_letters
from mmengine.fileio import get_file_backend
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.letters import known
from mmagic_mr.data.letters.atlas import PAIRS, is_held_out, read_atlas
from mmagic_mr.data.letters.render import CHARACTERS
from mmagic_mr.data.transforms import FixedHole
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.host import DATASETS
from mmagic_mr.metrics.truth import real_answers, true_moments

UNPACKED = {'serialize_data': False}
PAIR = dict(type='LoadPairedImageFromFile', key='pair', domain_a='target')
KEYS = ['img_target', 'img_B']
PACK = dict(type='PackInputs', keys=KEYS, data_keys=KEYS, meta_keys=['pair_path'])


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_letters(tmp_path_factory.mktemp('fonts'))


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmagic')


def test_every_tenth_pair_is_held_out_and_every_letter_on_both_sides():
    held_out = [pair for pair in PAIRS if is_held_out(pair)]
    assert len(PAIRS) == 3844
    assert len(held_out) == 385
    for side in 0, 1:
        counts = Counter(pair[side] for pair in held_out)
        assert set(counts) == set(CHARACTERS)
        assert set(counts.values()) == {6, 7}


def test_splits_share_neither_pairs_nor_typefaces(root):
    atlas = read_atlas(root)
    names = {split: atlas.names(split) for split in ('train', 'val', 'test')}
    assert len(names['train']) == (3844 - 385) * 5
    assert len(atlas.names('train_any')) == 3844 * 5
    assert len(names['val']) == len(names['test']) == 385
    pairs = {split: {name[:2] for name in some} for split, some in names.items()}
    faces = {split: {name[3:] for name in some} for split, some in names.items()}
    assert pairs['val'] == pairs['test']
    assert not pairs['train'] & pairs['val']
    assert faces == dict(train={*TRAINING}, val={*TRAINING}, test={*HELD_OUT})
    counts = Counter(name[3:] for name in names['val'])
    assert set(counts.values()) <= {385 // 5, 385 // 5 + 1}


def test_pairs_through_mmagics_data_set(root):
    data = DATASETS.build(
        dict(
            type='MRPairedImageDataset',
            data_root=f'letters://{root}/pairs',
            test_mode=True,
            pipeline=[PAIR, PACK],
            **UNPACKED,
        )
    )
    assert len(data) == 385
    item, atlas = data[7], read_atlas(root)
    pair, face = item['data_samples'].pair_path.split('/')[-1][:-4].split('.')
    for key, name in ('img_target', face), ('img_B', PLAIN):
        picture = item['inputs'][key]
        expected = torch.from_numpy(atlas.picture(pair, name)).expand(3, 64, 64)
        assert torch.equal(picture, expected)
    left = atlas.cells[face][CHARACTERS.index(pair[0])]
    assert (item['inputs']['img_target'][0, :, :32].numpy() == left).all()


def test_small_pictures_and_holes_through_mmagics_data_set(root):
    load = [dict(type='LoadImageFromFile', key=key) for key in ('gt', 'img')]
    data = DATASETS.build(
        dict(
            type='MRImageDataset',
            data_root=f'letters://{root}',
            data_prefix=dict(gt='gt/test', img='lq/test'),
            pipeline=[*load, dict(type='PackInputs')],
            **UNPACKED,
        )
    )
    item = data[0]
    small, large = item['inputs'], item['data_samples'].gt_img
    assert small.shape == (3, 16, 16)
    means = large.float().unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4))
    assert (small - means).abs().mean() < 6  # bicubic, not means
    hole = FixedHole(box=(0, 32, 64, 32))
    results = hole.transform(dict(gt=large.movedim(0, -1).numpy()))
    assert results['mask'][:, 32:].all()
    assert not results['mask'][:, :32].any()
    assert results['mask_bbox'] == (0, 32, 64, 32)
    with pytest.raises(UserError, match='does not fit into the image of 16x16'):
        hole.transform(dict(gt=small.movedim(0, -1).numpy()))


def test_a_users_mask_takes_the_place_of_the_fixed_one(tmp_path):
    from PIL import Image

    from mmagic_mr.data.image_inputs import HoleInput

    mask = np.zeros((64, 64), np.uint8)
    mask[3:5, 7:9] = 255
    path = tmp_path / 'mask.png'
    Image.fromarray(mask).save(path)
    steps = [FixedHole(box=(0, 32, 64, 32))]
    fields, (step,) = HoleInput().fields(None, steps, path, mask=path)
    assert (step.transform(fields)['mask'][..., 0] * 255 == mask).all()


def test_moments_equal_brute_force(root):
    atlas = read_atlas(root)
    path = f'letters://{root}/pairs/val/gQ.cmr10.bmp'
    truth = known.styled_pair(path)
    total, squares = np.zeros((64, 64)), np.zeros((64, 64))
    for face in TRAINING:
        for row in range(64):
            for column in range(64):
                letter, place = 'gQ'[column // 32], column % 32
                value = float(atlas.cells[face][CHARACTERS.index(letter), row, place])
                total[row, column] += value
                squares[row, column] += value**2
    mean = total / 5
    np.testing.assert_allclose(truth.mean, mean[None].repeat(3, 0))
    np.testing.assert_allclose(
        truth.var, (squares / 5 - mean**2)[None].repeat(3, 0), atol=1e-9
    )
    assert truth.answers.shape == (5, 64, 64, 3)
    # As metrics take them, and as the file of an answer has it
    assert true_moments(truth)[0][0].numpy() == pytest.approx(mean / 255, abs=1e-6)
    (first, *_) = real_answers(truth, 5, np.random.default_rng(0))
    pair = get_file_backend(path).get(path.replace('cmr10', TRAINING[0]))
    import cv2

    read = cv2.imdecode(np.frombuffer(pair, np.uint8), cv2.IMREAD_COLOR)[:, :64]
    assert (first.movedim(0, -1).numpy() * 255 == read).all()


def test_held_out_typefaces_have_answers_of_their_own(root):
    truth = known.styled_pair(f'letters://{root}/pairs/test/gQ.DejaVuSans.bmp')
    atlas = read_atlas(root)
    expected = [atlas.picture('gQ', face) for face in HELD_OUT]
    assert (truth.answers[..., 0] == expected).all()


def test_answers_of_a_hole(root):
    path = f'letters://{root}/gt/test/gQ.DejaVuSans.bmp'
    truth = known.any_right_letter(path)
    assert len(truth.answers) == 62
    left = truth.answers[:, :, :32]
    assert (left == left[0]).all()
    assert (truth.var[..., :32] == 0).all()
    cells = read_atlas(root).cells['DejaVuSans']
    assert (truth.answers[:, :, 32:, 0] == cells).all()
    np.testing.assert_allclose(truth.mean[0, :, 32:], cells.mean(0, dtype=np.float64))
    np.testing.assert_allclose(truth.var[1, :, 32:], cells.var(0, dtype=np.float64))


def test_draws_are_the_answers_equally_often(root):
    truth = known.styled_pair(f'letters://{root}/pairs/val/00.cmr10.bmp')
    rng = np.random.default_rng(0)
    drawn = Counter(truth.draw(rng).tobytes() for _ in range(1000))
    assert set(drawn) == {answer.tobytes() for answer in truth.answers}
    assert min(drawn.values()) > 150


def test_what_is_missing_is_named(root, tmp_path):
    hint = 'python tools/prepare_data.py fonts data/fonts'
    with pytest.raises(MissingFileError, match=f'is missing. Make it with: {hint}'):
        DATASETS.build(
            dict(
                type='MRPairedImageDataset',
                data_root=f'letters://{tmp_path}/pairs',
                prepare_hint=hint,
                pipeline=[PAIR],
            )
        )
    with pytest.raises(MissingFileError, match=r'prepare_data\.py fonts /no'):
        read_atlas('/no')
    backend = get_file_backend('letters://any')
    for name in 'gt/val/Ab.no.bmp', 'no/val/Ab.cmr10.bmp', 'gt/no/Ab.cmr10.bmp':
        with pytest.raises(MissingFileError, match=f'no picture .*{name}'):
            backend.get(f'letters://{root}/{name}')
    with pytest.raises(MissingFileError, match='KIND one of pairs, gt, lq'):
        backend.get('letters://Ab')
    assert not backend.isdir(f'letters://{root}/pairs/no')


def test_a_strip_of_another_size_is_refused(tmp_path):
    from PIL import Image

    root = write_letters(tmp_path)
    Image.new('L', (64, 64)).save(root / 'typefaces' / 'cmr10.png')
    with pytest.raises(UserError, match=r'cmr10\.png is 64x64, not a strip of 62'):
        read_atlas(root)
