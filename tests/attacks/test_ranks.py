"""Two processes train; one is killed, and the other must not wait for it for ever."""

import os
import shutil
import signal
import socket

import pytest
from attacks import training
from attacks.training import Plan, Process


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    training.warm_up()
    keep_two = {'default_hooks.checkpoint.max_keep_ckpts': 2}
    return training.write_config('srgan', tmp_path_factory.mktemp('ranks'), **keep_two)


def train(config, work_dir, plans=(None, None), resume=False):
    """How the two processes ended, the second one first."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = str(s.getsockname()[1])
    arguments = [config, '--work-dir', work_dir, '--launcher', 'pytorch']
    arguments += ['--resume'] * resume

    def environment(rank):
        def prepare():
            os.environ.update(
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT=port,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE='2',
            )

        return prepare

    processes = [
        Process(
            'train.py',
            arguments,
            work_dir,
            plan,
            environment(rank),
            f'{work_dir.name}_rank{rank}',
        )
        for rank, plan in enumerate(plans)
    ]
    return [process.wait(seconds=60) for process in reversed(processes)]


def test_the_other_ends_and_resume_is_exact(config, tmp_path):
    ends = train(config, tmp_path / 'whole')
    assert [end.status for end in ends] == [0, 0], ends[1].output
    expected = training.final_state(tmp_path / 'whole')

    # What is in files is named alike, by however many processes it was trained
    assert [name for name in expected if '.module.' in name] == []

    # The first process writes the files: it dies before it writes the fourth checkpoint
    killed = train(config, tmp_path / 'run', (Plan('event', 'iter_4'), None))
    assert killed[1].status == -signal.SIGKILL
    assert killed[0].status not in (0, -signal.SIGKILL)  # and it was not timed out
    shutil.copytree(tmp_path / 'run', tmp_path / 'alone')
    ends = train(config, tmp_path / 'run', resume=True)
    assert [end.status for end in ends] == [0, 0], ends[1].output
    found = training.final_state(tmp_path / 'run')
    assert training.differing(expected, found) == []

    # Another number of processes goes on, too, with other noise and another order
    folder = tmp_path / 'alone'
    arguments = [config, '--work-dir', folder, '--resume', folder / 'iter_3.pth']
    end = training.run_tool('train.py', arguments, folder)
    assert end.status == 0, end.output
    assert 'missing keys' not in end.output
    assert training.differing(expected, training.final_state(folder))
