"""Odd values in configs and in files from others: a UserError, or it works.

Of a config only the keys of our own classes are changed: what MMagic, mmengine and
torch say of theirs is theirs to say.
"""

import contextlib
import copy
import json
import re
from pathlib import Path

import pytest
from helpers import pix2pix, tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.data.prepare.manifest import Manifest
from mmagic_mr.data.synthetic.files import write_set
from mmagic_mr.errors import UserError
from mmagic_mr.host import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
from mmagic_mr.metrics.record import Record
from mmagic_mr.reports.page import html_page
from mmagic_mr.reports.report import read_realism
from mmagic_mr.reports.results import read_run, write_run
from mmagic_mr.reports.table import markdown


def fuzz(examples):
    """Few examples, the same at every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


SCALARS = st.one_of(
    st.sampled_from([None, True, False, '', 'x', '\ud800', '\0', 'a\nb', -1, 0, 1, 2]),
    st.sampled_from(
        [0.5, 1e308, float('nan'), float('inf'), 10**400, 10**30, -(2**63)]
    ),
    st.sampled_from(['../..', '/etc/passwd', '<img src=x onerror=a>', 'a' * 300]),
)
ODD = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(['type', 'a', '', 'mean']), inner, max_size=2),
    ),
    max_leaves=4,
)


@contextlib.contextmanager
def may_be_refused(words=''):
    """In one line, with one of the words."""
    refusal = None
    try:
        yield
    except UserError as error:
        refusal = str(error)
    if refusal is not None:
        assert '\n' not in refusal
        assert re.search(words, refusal)


def places(tree, path=()):
    """Paths of all nodes below the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@st.composite
def changed(draw, tree):
    """The tree with one to three nodes replaced, taken out, or under another key."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        all_places = list(places(tree))
        if not all_places:
            break
        *path, key = draw(st.sampled_from(all_places))
        parent = tree
        for step in path:
            parent = parent[step]
        what = draw(
            st.sampled_from(['replace', 'replace', 'replace', 'drop', 'misspell'])
        )
        if what == 'replace' or isinstance(parent, list):
            parent[key] = draw(ODD)
        else:
            value = parent.pop(key)
            if what == 'misspell':
                parent[str(key)[:-1] or 'x'] = value
    return tree


# -- configs -------------------------------------------------------------------------

NOISE = dict(type='categorical', sites={r'.*model\.1\.conv': 8})
PIX2PIX = dict(
    noise=NOISE,
    num_samples=4,
    eval_num_samples=6,
    gen_batch_size=2,
    gen_updates_per_disc=1,
    keep=[],
    share_work=True,
    input_norm=dict(mean=[0.5, 0.4, 0.6], std=[0.3, 0.2, 0.2]),
    sample_losses=dict(
        proxy=dict(
            type='ProxyMRLoss',
            distribution='gaussian',
            order=2,
            loss_weight=200.0,
            estimator='paper',
            value_scale=1.0,
        ),
        mr=dict(type='MRLoss', order=1, min_noise=0.0),
        crps=dict(type='CRPSLoss', alpha=0.95),
        energy=dict(type='EnergyScoreLoss', patch=3, beta=1.0),
    ),
)
PARTS = [
    (HOOKS, dict(type='CollageHook', interval=500, num_inputs=2, samples_below=True)),
    (HOOKS, dict(type='SampleCollapseHook', window=250, threshold=0.1, warmup=9)),
    (HOOKS, dict(type='DivergenceHook', interval=50, max_skips=2)),
    (
        HOOKS,
        dict(
            type='PredictorPretrainHook',
            max_iters=4,
            val_interval=2,
            patience=1,
            checkpoint='a.pth',
            predictor_only=False,
        ),
    ),
    (TRANSFORMS, dict(type='RandomHole', box_size=16, sides=[8, 16], img_key='gt')),
    (TRANSFORMS, dict(type='FillHole', color=[130, 108, 96])),
    (TRANSFORMS, dict(type='StrictCrop', keys=['a'], crop_size=[8, 8])),
    (METRICS, dict(type='MomentCalibration', cells=[1, 16], tolerance=0.1, seed=0)),
    (METRICS, dict(type='SampleDiversity', protocols=['lee2019'], seed=0)),
    (MODELS, dict(type='MomentNLLLoss', order=2, min_noise=0.1)),
]


@fuzz(120)
@given(changed(PIX2PIX))
def test_a_changed_host_is_built_or_refused(ours):
    init_default_scope('mmagic')
    config = pix2pix.config()
    del config['mr_loss'], config['noise'], config['num_samples']
    with may_be_refused():
        MODELS.build({**config, **ours})


@pytest.mark.parametrize(
    ('registry', 'config'), [pytest.param(*part, id=part[1]['type']) for part in PARTS]
)
def test_a_changed_part_is_built_or_refused(registry, config):
    init_default_scope('mmagic')
    ours = {key: value for key, value in config.items() if key != 'type'}

    @fuzz(30)
    @given(changed(ours))
    def attack(part):
        part.pop('type', None)  # which class it is, is no key of the class
        with may_be_refused():
            registry.build({'type': config['type'], **part})

    attack()


# -- files from others ---------------------------------------------------------------


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    """A whole result, as it lies in its file."""
    path = tmp_path_factory.mktemp('result') / 'run.json'
    fields = dict(
        name='LPIPS',
        better='1',
        protocol='lee2019',
        network='alex',
        range='[0, 1]',
        inputs=3,
        samples=20,
        seed=0,
    )
    extra = dict(ceiling=0.56, floor=0.0)
    records = [
        Record(
            group='diversity',
            key='LPIPS',
            value=0.4,
            low=0.3,
            high=0.5,
            unit='dB',
            headline='LPIPS {network}',
            extra=extra,
            **fields,
        ),
        Record(
            group='calibration',
            key='ranks',
            value=0.1,
            headline='ranks',
            extra=dict(
                dict(ranks=[0.25, 0.5, 0.25], verdict='ok', exact=1.0, pit=[0.5, 0.5]),
                curve=dict(title='c', x=[1, 2], y=[0.0, 1], due=[0, 1], doubling=True),
            ),
            **fields,
        ),
    ]
    return write_run(
        path,
        method='MR2',
        records=records,
        config_name='c.py',
        config_text='a = 1',
        checkpoint=None,
        dataset=dict(type='Pairs', root='data/val', size=3),
        seed=0,
        num_samples=20,
        collages=['collage.png'],
    ) | dict(checkpoint=dict(file='a.pth', sha256='0' * 64))


def written(folder, text):
    path = folder / 'attack.json'
    path.write_bytes(text.encode('utf-8', 'surrogatepass'))
    return path


def page_of(path, realism=None):
    """A page that can be written, or a UserError."""
    run = read_run(path)
    page = html_page([run], [path.parent], realism and realism(run))
    page += markdown([run], realism and realism(run))
    page.encode()
    assert '<img src=x' not in page


def test_a_changed_result_gives_a_page_or_is_refused(result, tmp_path):
    @fuzz(400)
    @given(changed(result))
    def attack(tree):
        with may_be_refused(r'attack\.json|collage'):
            page_of(written(tmp_path, json.dumps(tree)))

    attack()


@pytest.mark.parametrize(
    'root', [b'[' * 9999, b'\xff', b'"a"', b'{"schema": 2}', b'9' * 9999]
)
def test_what_is_no_result_at_all_is_refused(root, tmp_path):
    path = tmp_path / 'attack.json'
    path.write_bytes(root)
    with pytest.raises(UserError, match=r'attack\.json is no '):
        read_run(path)
    with pytest.raises(UserError, match=r'attack\.json is no '):
        read_realism(path, ())


def test_a_cut_result_is_refused(result, tmp_path):
    text = json.dumps(result)

    @fuzz(40)
    @given(st.integers(0, len(text) - 1))
    def attack(end):
        with pytest.raises(UserError, match=r'attack\.json is no '):
            read_run(written(tmp_path, text[:end]))

    attack()


def test_changed_scores_of_a_study_give_a_page_or_are_refused(result, tmp_path):
    whole = written(tmp_path, json.dumps(dict(result, collages=[]))).rename(
        tmp_path / 'run.json'
    )
    statistic = dict(mean=0.5, low=0.4, high=0.6)
    scores = dict(methods=dict(MR2=dict(realism=statistic, accuracy=statistic)))

    @fuzz(200)
    @given(changed(scores))
    def attack(tree):
        study = written(tmp_path, json.dumps(tree))
        with may_be_refused(r'attack\.json|realism of'):
            page_of(whole, lambda run: read_realism(study, ()))

    attack()


def test_changed_boxes_are_read_or_refused(tmp_path):
    root = tiny.write_faces(tmp_path / 'faces', train=2, val=2)
    file = root / 'val' / 'boxes.json'
    boxes = json.loads(file.read_text())

    @fuzz(120)
    @given(changed(boxes), st.booleans())
    def attack(tree, cut):
        text = json.dumps(tree)
        file.write_text(text[: len(text) // 2] if cut else text)
        prefix = dict(gt='val/gt')
        config = dict(type='MRImageDataset', data_root=str(root), data_prefix=prefix)
        with may_be_refused(r'boxes\.json'):
            data = DATASETS.build(dict(config, box_file='val/boxes.json', pipeline=[]))
            for i in range(2):
                box = data.get_data_info(i)['mask_bbox']
                assert len(box) == 4
                assert all(type(side) is int and side >= 0 for side in box)

    attack()


def test_a_changed_manifest_is_compared_or_refused(tmp_path):
    manifest = Manifest(tmp_path, 'maps', Path('a'), dict(size=16))
    manifest.start({})
    manifest.finish({'train': []})
    whole = json.loads(manifest.path.read_text())

    @fuzz(100)
    @given(changed(whole), st.booleans())
    def attack(tree, cut):
        text = json.dumps(tree)
        manifest.path.write_text(text[: len(text) // 2] if cut else text)
        with may_be_refused(re.escape(str(tmp_path))):
            Manifest(tmp_path, 'maps', Path('a'), dict(size=16)).start({})

    attack()


@pytest.mark.parametrize('text', ['', '{', '[]', '\xff', '[' * 9999, '9' * 9999])
def test_a_broken_note_of_a_synthetic_set_means_to_make_it_anew(text, tmp_path):
    write_set(tmp_path, lambda *_: None, num_train=1, num_val=1)
    (tmp_path / 'scenes.json').write_text(text, encoding='latin-1')
    made = []
    write_set(tmp_path, lambda *place: made.append(place), num_train=1, num_val=1)
    assert len(made) == 2
