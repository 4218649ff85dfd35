"""The fast part of `make attacks`: a kill in each phase of each host's training."""

import pytest
from attacks import kill_loop, training
from attacks.training import Plan


@pytest.fixture(scope='module', autouse=True)
def _warm():
    training.warm_up()


@pytest.mark.parametrize('host', training.HOSTS)
def test_killed_while_files_are_written(host, tmp_path):
    """Of the predictor, and within the third checkpoint, of which one is kept."""
    victim = kill_loop.Victim(host, tmp_path)
    plans = [Plan('event', 'predictor/last.pth'), Plan('bytes', 'iter_3', 30_000)]
    ends, failures = victim.run('run', plans)
    assert [kill_loop.stage(end) for end in ends] == [
        "predictor's files",
        'checkpoint',
    ]
    assert ends[1].reached == 3
    assert failures == []


def test_a_random_kill(tmp_path):
    tally = kill_loop.attack('srgan', tmp_path, kills=2, seed=1)
    assert tally.killed == 2
    assert tally.identical == tally.runs
    assert tally.failures == []


def test_a_run_that_ends_elsewhere_is_noticed(tmp_path):
    """The test of the test."""
    victim = kill_loop.Victim('srgan', tmp_path)
    name = 'generator.conv_last.bias'
    victim.expected[name] = victim.expected[name] + 1e-8
    assert victim.run('run', []) == ([], [f'1 tensors differ: {name}'])
