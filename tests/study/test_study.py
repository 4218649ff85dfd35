"""The realism study, from folders of images to scores, as people would use it."""

import contextlib
import http.client
import io
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers.study_people import (
    COLORS,
    TIMING,
    Client,
    always_real,
    cli,
    coin,
    environment,
    kill,
    paint,
    perfect,
    serve,
    stored,
    trials_of,
)
from PIL import Image
from scipy import stats

from mmagic_mr.errors import UserError
from mmagic_mr.study.cli import is_loopback
from mmagic_mr.study.make import make_study
from mmagic_mr.study.score import detection, f_measure, score, table
from mmagic_mr.study.server import StudyServer
from mmagic_mr.study.store import Store


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp('results')
    return dict(
        real=paint(tmp_path / 'real', 'real', 90),
        methods={
            'mr1': paint(tmp_path / 'mr1', 'fake', 45),
            'mr2': paint(tmp_path / 'mr2', 'fake', 45),
        },
    )


@pytest.fixture
def study(tmp_path, folders):
    """Builder of a study with two methods."""

    def build(**settings):
        folder = tmp_path / 'study'
        assert make_study(folder, **{**folders, **settings}) == []
        return folder

    return build


# ------------------------------------------------------------------- score


def test_f_measure_by_precision_and_recall():
    precision, recall = 7 / (7 + 2), 7 / (7 + 3)
    expected = 2 * precision * recall / (precision + recall)
    assert f_measure(7, 3, 2) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('counts', [(7, 3, 2, 8), (10, 0, 0, 10), (0, 10, 10, 0)])
def test_detection_against_scipy(counts):
    hits, misses, false_alarms, rejections = counts
    high = stats.norm.ppf((hits + 0.5) / (hits + misses + 1))
    low = stats.norm.ppf((false_alarms + 0.5) / (false_alarms + rejections + 1))
    d_prime, criterion = detection(*counts)
    assert d_prime == pytest.approx(high - low, abs=1e-9)
    assert criterion == pytest.approx(-(high + low) / 2, abs=1e-9)


def test_detection_signs():
    assert detection(9, 1, 1, 9)[0] > 1  # tells them apart
    assert detection(1, 9, 1, 9)[1] > 1  # says "real"
    assert detection(9, 1, 9, 1)[1] < -1  # says "fake"


# -------------------------------------------------------------------- make


def test_each_session_is_balanced_and_shuffled(study):
    folder = study(per_method=10, practice=5, participants=3)
    sessions = {}
    for trial in trials_of(folder):
        sessions.setdefault(trial['participant'], []).append(trial)
    orders = set()
    for trials in sessions.values():
        practice, main = trials[:5], trials[5:]
        assert all(t['practice'] for t in practice)
        assert sorted(t['truth'] for t in practice) == ['fake'] * 2 + ['real'] * 3
        assert len(main) == 40
        assert not any(t['practice'] for t in main)
        for method in ('mr1', 'mr2'):
            truths = [t['truth'] for t in main if t['method'] == method]
            assert sorted(truths) == ['fake'] * 10 + ['real'] * 10
        for t in trials:  # the image is what the trial says that it is
            wanted = t['method'] if t['truth'] == 'fake' else 'real'
            assert Path(t['source']).parent.name == wanted
        assert len({t['image'] for t in trials}) == 45
        orders.add(tuple(t['truth'] for t in main))
    assert len(orders) == 3
    first = {t['image'] for t in sessions[1][5:]}
    assert first != {t['image'] for t in sessions[2][5:]}


def test_seed_fixes_trials_but_not_secrets(tmp_path, folders):
    for name in ('a', 'b'):
        make_study(tmp_path / name, **folders, per_method=4, participants=2, seed=3)
    a, b = trials_of(tmp_path / 'a'), trials_of(tmp_path / 'b')
    assert [t['source'] for t in a] == [t['source'] for t in b]
    assert not {t['id'] for t in a} & {t['id'] for t in b}
    assert not {t['file'] for t in a} & {t['file'] for t in b}
    tokens = [{p['token'] for p in Store(tmp_path / n).progress()} for n in ('a', 'b')]
    assert len(tokens[0] | tokens[1]) == 4


def test_images_are_reencoded_without_metadata(tmp_path):
    real = paint(tmp_path / 'real', 'real', 4)
    fake = tmp_path / 'fake'
    fake.mkdir()
    for i in range(4):
        tags = Image.Exif()
        tags[0x010E] = 'made by mr1'
        Image.new('RGB', (48, 32), COLORS['fake']).save(
            fake / f'{i}.jpg', exif=tags, comment=b'made by mr1'
        )
    folder = tmp_path / 'study'
    warnings = make_study(folder, real, {'mr1': fake}, per_method=2, practice=2)
    assert len(warnings) == 1
    assert 'mr1: JPEG' in warnings[0]
    files = list((folder / 'images').iterdir())
    assert {f.suffix for f in files} == {'.png'}
    assert not any(b'made by' in f.read_bytes() for f in files)
    assert all(Image.open(f).info == {} for f in files)


def test_different_sizes_are_warned_of(tmp_path):
    real = paint(tmp_path / 'real', 'real', 4, size=(64, 64))
    fake = paint(tmp_path / 'fake', 'fake', 4)
    (warning,) = make_study(tmp_path / 's', real, {'x': fake}, per_method=2, practice=2)
    assert 'real: 64x64; x: 48x32' in warning


def test_bad_input_is_named(tmp_path, folders):
    with pytest.raises(ValueError, match=r'real holds 90 images, 203 are needed'):
        make_study(tmp_path / 's', **folders, per_method=100)
    with pytest.raises(ValueError, match='exposure is 0'):
        make_study(tmp_path / 's', **folders, exposure=0)
    with pytest.raises(ValueError, match='nowhere is not a folder'):
        make_study(tmp_path / 's', tmp_path / 'nowhere', folders['methods'])
    broken = paint(tmp_path / 'broken', 'fake', 1)
    (broken / 'broken.png').write_bytes(b'no image')
    with pytest.raises(UserError, match=r'broken\.png is not a readable image'):
        make_study(tmp_path / 's', folders['real'], {'x': broken}, 1, practice=2)
    truncated = next(broken.glob('fake*')).read_bytes()[:-200]
    (broken / 'broken.png').write_bytes(truncated)
    with pytest.raises(UserError, match='truncated'):
        make_study(tmp_path / 's', folders['real'], {'x': broken}, 1, practice=2)
    assert not (tmp_path / 's').exists()
    (tmp_path / 's').mkdir()
    with pytest.raises(UserError, match='give the study a new folder'):
        make_study(tmp_path / 's', **folders)
    with pytest.raises(FileNotFoundError, match='holds no study'):
        Store(tmp_path / 's')


def test_one_folder_for_real_and_fake_is_refused(tmp_path, folders):
    real = folders['real']
    with pytest.raises(UserError, match='folder of the real images and of x'):
        make_study(tmp_path / 's', real, {'x': real}, 1, practice=2)
    fakes = {'x': folders['methods']['mr1'], 'y': folders['methods']['mr1']}
    with pytest.raises(UserError, match='folder of x and of y'):
        make_study(tmp_path / 's', real, fakes, 1, practice=2)


def test_a_full_disk_leaves_nothing_of_a_study(tmp_path, folders, monkeypatch):
    def full(folder, settings):
        (folder / 'images').mkdir(parents=True)
        raise OSError('no space left')

    monkeypatch.setattr(Store, 'create', full)
    with pytest.raises(OSError, match='no space left'):
        make_study(tmp_path / 's', **folders)
    assert not (tmp_path / 's').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (
            ['score', 'broken'],
            'is no whole study of this tool (file is not a database)',
        ),
        (['serve', 'broken', '--port', '80000'], '80000 is not from 0 to 65535'),
    ],
)
def test_errors_of_the_command_line_are_one_line(tmp_path, words, message):
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken/study.sqlite').write_text('no database, but long enough' * 99)
    done = subprocess.run(
        cli(*words),
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert 'Traceback' not in done.stderr


def test_16_bit_images_are_shown_as_they_are_and_transparent_ones_refused(tmp_path):
    real = paint(tmp_path / 'real', 'real', 2, size=(8, 8))
    deep, clear = tmp_path / 'deep', tmp_path / 'clear'
    for folder in deep, clear:
        folder.mkdir()
    for i in range(2):
        gray = np.full((8, 8), 127 * 257, np.uint16)
        Image.fromarray(gray).save(deep / f'{i}.png')
        Image.new('RGBA', (8, 8), (9, 9, 9, 100)).save(clear / f'{i}.png')
    make_study(tmp_path / 's', real, {'x': deep}, 1, practice=2)
    means = [np.asarray(Image.open(f)) for f in (tmp_path / 's/images').iterdir()]
    assert sum((mean == 127).all() for mean in means) == 2
    with pytest.raises(ValueError, match=r'png has transparent pixels'):
        make_study(tmp_path / 't', real, {'x': clear}, 1, practice=2)
    assert not (tmp_path / 't').exists()


# ------------------------------------------------------------- participants


def test_many_participants_at_once_and_their_scores(study, tmp_path):
    coins = 6
    folder = study(per_method=20, practice=2, participants=coins + 3)
    deciders = [perfect, always_real, *(coin(i) for i in range(coins))]
    logs = [None] * len(deciders)
    with serve(folder) as (_, links):

        def take(i):
            logs[i] = Client(links[i]).take(deciders[i])

        threads = [threading.Thread(target=take, args=(i,)) for i in range(len(logs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        Client(links[-1]).take(perfect, limit=30)  # does not finish

    # each answer is stored where its own participant gave it
    owners = {t['id']: t['participant'] for t in trials_of(folder)}
    answers = stored(folder)
    for i, log in enumerate(logs):
        assert len(log) == 82
        assert {owners[trial] for trial in log} == {i + 1}
        assert all(answers[trial] == answer for trial, (_, answer) in log.items())

    out = tmp_path / 'scores.json'
    run = subprocess.run(
        cli('score', folder, '--out', out),
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert '| mr1 | ' in run.stdout
    assert 'FLAG: participant 2 always said "real" (80 answers)' in run.stdout
    assert '8 of 9 participants counted' in run.stdout
    result = json.loads(out.read_text())
    assert result['participants']['flagged'] == [2]
    assert not result['people'][-1]['counted']
    by_hand = {m: [] for m in ('mr1', 'mr2')}
    methods = {t['id']: (t['method'], t['practice']) for t in trials_of(folder)}
    for log in logs:
        for method, values in by_hand.items():
            own = [log[t] for t in log if methods[t] == (method, 0)]
            assert len(own) == 40
            right = sum(pair == ('fake', 'fake') for pair in own)
            called = sum(answer == 'fake' for _, answer in own)
            values.append(2 * (1 - 2 * right / (20 + called)))
    for method, values in by_hand.items():
        assert values[0] == 0
        assert values[1] == 2
        assert np.mean(values[2:]) == pytest.approx(1, abs=0.15)
        ours = result['methods'][method]['realism']
        assert ours['mean'] == pytest.approx(np.mean(values), abs=1e-9)
        assert ours['low'] < ours['mean'] < ours['high']

    kept = score(Store(folder), partial=True, exclude_flagged=True, resamples=100)
    assert [p['id'] for p in kept['people'] if not p['counted']] == [2]
    assert 'not counted' in table(kept)


@pytest.mark.parametrize(
    ('decide', 'realism', 'd_prime'),
    # z(10.5 / 11) = -z(0.5 / 11) = 1.6906
    [(perfect, 0, 3.3812), (always_real, 2, 0)],
)
def test_one_participant_alone(study, decide, realism, d_prime):
    folder = study(per_method=10, practice=0, participants=1)
    with serve(folder) as (_, links):
        Client(links[0]).take(decide)
    mr1 = score(Store(folder), resamples=100)['methods']['mr1']
    assert mr1['realism'] == dict(mean=realism, low=None, high=None)
    assert mr1['d_prime']['mean'] == pytest.approx(d_prime, abs=1e-4)


def test_without_a_finished_participant_there_is_no_score(study):
    folder = study(per_method=2, participants=2)
    with pytest.raises(ValueError, match='none of 2 participants can be scored'):
        score(Store(folder))


# ------------------------------------------------------------- what is refused


@pytest.fixture
def two(study):
    """A running server, its folder, and two participants who agreed."""
    folder = study(per_method=3, practice=2, participants=2)
    store = Store(folder)
    with contextlib.closing(store), StudyServer(store) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        base = f'http://127.0.0.1:{server.server_address[1]}/s/'
        clients = [Client(base + person['token']) for person in store.progress()]
        for client in clients:
            client.consent()
        yield folder, clients
        server.shutdown()
        thread.join()


def test_forged_token_is_refused(two):
    folder, (client, _) = two
    trial = client.get()[1]['trial']['id']
    for token in ('', 'x', client.token[:-1], client.token + 'A', "'%20OR%20'1'='1"):
        forger = Client(f'http://{client.host}:{client.port}/s/{token}')
        assert forger.get()[0] == 403
        assert forger.get(f'/image/{trial}')[0] == 403
        assert forger.answer(trial, 'real')[0] == 403
        assert forger.post('/consent', {})[0] == 403
        assert forger.send('GET', f'/s/{forger.token}')[0] == 403
    assert stored(folder) == {}


def test_others_trial_is_refused(two):
    folder, (one, other) = two
    trial = other.get()[1]['trial']['id']
    assert one.get(f'/image/{trial}')[0] == 403
    assert one.answer(trial, 'real')[0] == 403
    assert stored(folder) == {}
    assert other.answer(trial, 'real')[0] == 200


def test_repeated_and_early_answers_are_refused(two):
    folder, (client, _) = two
    trial = client.get()[1]['trial']['id']
    later = [t['id'] for t in trials_of(folder) if t['participant'] == 1][1]
    assert client.answer(later, 'real')[0] == 409
    assert client.get(f'/image/{later}')[0] == 409
    assert client.answer(trial, 'real')[0] == 200
    assert client.answer(trial, 'fake')[0] == 409
    assert client.get(f'/image/{trial}')[0] == 409  # its time is over
    assert client.answer('no-such-trial', 'real')[0] == 404
    assert stored(folder) == {trial: 'real'}


def test_repeated_answers_at_the_same_time_store_one(two):
    folder, (client, _) = two
    trial = client.get()[1]['trial']['id']
    results = []

    def send(i):
        own = Client(f'http://{client.host}:{client.port}/s/{client.token}')
        results.append(own.answer(trial, ('real', 'fake')[i % 2])[0])

    threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200] + [409] * 7
    assert len(stored(folder)) == 1


def test_consent_comes_first(study):
    folder = study(per_method=3, participants=1)
    with serve(folder) as (_, links):
        client = Client(links[0])
        state = client.get()[1]
        assert not state['agreed']
        assert client.get(f'/image/{state["trial"]["id"]}')[0] == 403
        assert client.answer(state['trial']['id'], 'real')[0] == 403
    assert stored(folder) == {}


@pytest.mark.parametrize(
    'path',
    [
        '/../study.sqlite',
        '/images/../study.sqlite',
        '/page.js/../../store.py',
        '/..%2f..%2fstudy.sqlite',
        '/%2e%2e/%2e%2e/etc/passwd',
        '//etc/passwd',
        '/api/TOKEN/image/../../study.sqlite',
        '/api/TOKEN/image/..%2f..%2fstudy.sqlite',
        '/api/TOKEN/image/%2fetc%2fpasswd',
        '/images/',
        '/',
    ],
)
def test_path_traversal_is_refused(two, path):
    _, (client, _) = two
    status, content = client.send('GET', path.replace('TOKEN', client.token))
    assert status == 404
    assert set(content) == {'error'}


@pytest.mark.parametrize('name', ['../secret.png', '/etc/passwd'])
def test_stored_path_outside_the_image_folder_is_refused(two, name):
    folder, (client, _) = two
    (folder / 'secret.png').write_bytes(b'secret')
    trial = client.get()[1]['trial']['id']
    with Store(folder).transaction() as db:
        db.execute(
            'UPDATE images SET file = ? WHERE id = '
            '(SELECT image FROM trials WHERE id = ?)',
            (name, trial),
        )
    status, content = client.get(f'/image/{trial}')
    assert (status, set(content)) == (403, {'error'})


GOOD = dict(answer='real', **TIMING)


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        ({**GOOD, 'answer': 'maybe'}, 400),
        ({**GOOD, 'answer': ['real']}, 400),
        ({**GOOD, 'rt_ms': -1}, 400),
        ({**GOOD, 'rt_ms': True}, 400),
        ({**GOOD, 'frames': 1.5}, 400),
        ({**GOOD, 'frames': 10**400}, 400),
        ({**GOOD, 'shown_ms': float('nan')}, 400),
        ({**GOOD, 'shown_ms': float('inf')}, 400),
        ({**GOOD, 'truth': 'real'}, 400),
        ({'answer': 'real'}, 400),
        ([], 400),
        (None, 400),
        (b'{"answer"', 400),
        (b'[' * 4000, 400),
        (b'\xff', 400),
        (b'x' * 100_000, 413),
    ],
)
def test_malformed_answers_are_refused(two, body, status):
    folder, (client, _) = two
    trial = client.get()[1]['trial']['id']
    assert client.post(f'/answer/{trial}', body)[0] == status
    assert stored(folder) == {}
    assert client.answer(trial, 'real')[0] == 200  # the server is well


def test_forms_of_other_sites_are_refused(two):
    _, (client, _) = two
    path = f'/api/{client.token}/consent'
    assert client.send('POST', path, {}, kind='text/plain')[0] == 415


def test_nothing_tells_the_answer_before_it_is_given(two):
    folder, (client, _) = two
    trials = [t for t in trials_of(folder) if t['participant'] == 1]
    secrets = {'mr1', 'mr2', 'truth', 'fake', 'method', *(t['file'] for t in trials)}
    secrets |= {Path(t['source']).name for t in trials}
    for trial in trials:
        state = client.get()[1]
        consent = state.pop('consent') + state.pop('title')
        assert not [s for s in secrets - {'fake'} if s in consent]
        status, image = client.get(f'/image/{trial["id"]}')
        seen = json.dumps([state, client.headers])
        assert status == 200
        assert set(client.headers) - {'Date', 'Content-Length'} == {
            'Server',
            'Cache-Control',
            'Content-Security-Policy',
            'Referrer-Policy',
            'X-Content-Type-Options',
            'Content-Type',
        }
        assert client.headers['Cache-Control'] == 'no-store'
        assert not [s for s in secrets if s in seen]
        assert Image.open(io.BytesIO(image)).info == {}
        reply = client.answer(trial['id'], 'real')[1]
        # practice tells it afterwards, a scored trial never does
        assert reply.get('truth') == (trial['truth'] if trial['practice'] else None)
    assert client.get()[1]['trial'] is None
    assert client.answer(trials[-1]['id'], 'real')[0] == 409
    assert client.get(f'/image/{trials[-1]["id"]}')[0] == 409


# ------------------------------------------------------------------ killed


def test_killed_server_loses_no_answer(study):
    folder = study(per_method=40, practice=0, participants=3)
    with Store(folder).transaction() as db:
        assert db.execute('PRAGMA journal_mode').fetchone()[0] == 'wal'
        assert db.execute('PRAGMA synchronous').fetchone()[0] == 2  # FULL
    confirmed = [{}, {}, {}]

    def take(i, link):
        client = Client(link)
        state = client.consent()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while state['trial']:
                trial = state['trial']['id']
                answer = random.choice(['real', 'fake'])
                status, reply = client.answer(trial, answer)
                assert status == 200
                confirmed[i][trial] = answer
                state = reply['state']

    with serve(folder) as (server, links):
        threads = [
            threading.Thread(target=take, args=pair) for pair in enumerate(links)
        ]
        for thread in threads:
            thread.start()
        while sum(map(len, confirmed)) < 30:
            time.sleep(0.01)
        kill(server)
        for thread in threads:
            thread.join()
    assert all(len(log) < 160 for log in confirmed)  # killed in the middle
    kept = stored(folder)
    for log in confirmed:
        assert log.items() <= kept.items()
    assert len(kept) - sum(map(len, confirmed)) <= 3  # stored, reply lost

    with serve(folder) as (_, links):  # and they go on
        for link in links:
            Client(link).take(perfect)
    assert len(stored(folder)) == 3 * 160
    assert kept.items() <= stored(folder).items()


# ------------------------------------------------------------------- start


def test_help_and_start_are_quick_and_light(study):
    begin = time.monotonic()
    subprocess.run(cli('--help'), check=True, capture_output=True, env=environment())
    assert time.monotonic() - begin < 2
    folder = study(per_method=2, participants=1)
    begin = time.monotonic()
    with serve(folder) as (_, links):
        assert time.monotonic() - begin < 2
        assert urlsplit(links[0]).hostname == '127.0.0.1'
    code = (
        'import sys, mmagic_mr.study.cli, mmagic_mr.study.server, '
        'mmagic_mr.study.score; '
        "print({'torch', 'mmagic', 'mmengine', 'mmcv', 'cv2'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert run.stdout.strip() == 'set()'


@pytest.mark.parametrize(
    ('host', 'loopback'),
    [('127.0.0.1', True), ('::1', True), ('localhost', True), ('0.0.0.0', False)],
)
def test_warns_of_hosts_that_others_can_reach(host, loopback):
    assert is_loopback(host) == loopback


def test_cli_names_what_is_wrong(tmp_path):
    run = subprocess.run(
        cli('make', tmp_path / 's', '--real', tmp_path, '--method', 'mr1'),
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert run.returncode == 1
    assert run.stderr == 'error: --method mr1: write it as NAME=FOLDER\n'
