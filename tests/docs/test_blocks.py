"""Code blocks of the documentation: Python runs, configs build, commands exist.

Each page has a folder of its own, with the repository's configs and tools in it. There
its blocks are tried in their order, in a fork of this process. Python runs, in one
namespace; what is a file (its first line names it) is written; of a config the model,
hooks and metrics are built. Of shell commands the tools, options and configs are
checked, by the tools' own parsers; blocks that say so are run.
"""

import importlib.util
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

import pytest
from helpers import ROOT
from helpers.documents import blocks, name_of, pages
from mmengine.config import Config
from torch import nn

from mmagic_mr import cli

# Their blocks are tried elsewhere
ELSEWHERE = {'CONTRIBUTING.md': 'tests/package/test_contributing.py'}
# Commands that are not ours, and why they are not run
OTHERS = {
    '.': 'changes the shell of the reader',
    'cd': 'a folder of the reader',
    'git': 'needs the network',
    'mim': 'make check-mim runs it',
    'pip': 'needs the network; make check-install and check-mim run it',
    'sbatch': 'needs a cluster',
    'sqlite3': 'of another package',
    'tensorboard': 'does not end',
}
DRAWING = ('kaiming_uniform_', 'kaiming_normal_', 'normal_', 'uniform_')
PARSERS = sorted((ROOT / 'mmagic_mr').rglob('cli.py'))  # of tools of one line
LAUNCHERS = {'torchrun', 'srun'}
PAGES = [page for page in pages() if name_of(page) not in ELSEWHERE]


def with_blocks(*languages):
    return [
        page
        for page in PAGES
        if any(block.language in languages for block in blocks(page))
    ]


def is_config(block):
    return 'config' in block.marks or re.search(r'^_base_ =', block.text, re.MULTILINE)


def config_of(block, folder):
    """Writes a config block into the folder of its page; returns the file."""
    text = block.text
    if not re.search(r'^_base_ =', text, re.MULTILINE):
        text = f"_base_ = 'configs/{block.marks['config']}.py'\n{text}"
    file = folder / (block.file or f'config_{block.line}.py')
    file.write_text(text)
    return file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for part in 'configs', 'tools':
        (tmp_path / part).symlink_to(ROOT / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_tried_or_says_why_not():
    known = {'python', 'bash', 'setup', 'text', 'bibtex'}
    for page in PAGES:
        for block in blocks(page):
            assert block.language in known, f'{block}: {block.language!r}'
            if 'not run' in block.marks:
                assert len(block.marks['not run'].split()) > 2, f'{block}: no reason'
            elif re.search(r'^model = dict\(', block.text, re.MULTILINE):
                assert is_config(block), f'{block}: a config of which base?'


def run_page(page, folder, said):
    """In a process of its own; sends what went wrong, or nothing."""
    namespace = {'__name__': page.stem}
    sys.path.insert(0, str(folder))
    block = None
    try:
        for block in blocks(page):
            if 'not run' in block.marks:
                continue
            if block.language == 'bash':
                run_commands(block, folder)
            elif is_config(block):
                build(config_of(block, folder))
            elif block.language in ('python', 'setup'):
                run_python(block, folder, namespace)
    except BaseException:
        said.send(f'{block}\n{traceback.format_exc()}')
    said.close()


def run_python(block, folder, namespace):
    """As a module, if it is a file: so that a config may import it once more."""
    if block.file:
        Path(folder, block.file).write_text(block.text)
        namespace |= vars(importlib.import_module(Path(block.file).stem))
    else:
        exec(compile(block.text, str(block), 'exec'), namespace)


def build(file):
    """The model of a config, and what of its hooks and metrics is ours."""
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    from mmagic_mr.host import HOOKS, METRICS, MODELS

    cfg = Config.fromfile(file, import_custom_modules=False)
    import_modules_from_strings(**cfg.custom_imports)
    init_default_scope('mmagic')
    undrawn = dict.fromkeys(DRAWING, lambda tensor, *args, **kwargs: tensor)
    with mock.patch.multiple(nn.init, **undrawn):  # half of the time
        MODELS.build(cfg.model)
    for hook in cfg.get('custom_hooks') or []:
        if HOOKS.get(hook['type']).__module__.startswith('mmagic_mr.'):
            HOOKS.build(hook)
    evaluator = cfg.get('test_evaluator')
    if isinstance(evaluator, dict):
        for metric in evaluator.get('metrics') or []:
            assert METRICS.get(metric['type']), metric['type']


@pytest.mark.parametrize('page', with_blocks('python', 'bash'), ids=name_of)
def test_the_blocks_of(page, folder):
    import mmagic_mr.plugin  # noqa: F401  (once, before the forks)

    context = multiprocessing.get_context('fork')
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=run_page, args=(page, folder, send))
    process.start()
    send.close()
    try:
        said = receive.recv()
    except EOFError:
        said = ''
    process.join()
    assert not said, said
    assert process.exitcode == 0


def commands(text):
    """Of a shell block: each as its words, comments and settings left out."""
    for line in text.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index('&&') if '&&' in words else len(words)
            command, words = words[:end], words[end + 1 :]
            while command and re.match(r'[A-Z_]+=', command[0]):
                command = command[1:]
            if command and command[0] != 'export':
                yield command


def targets():
    text = (ROOT / 'Makefile').read_text()
    return set(re.findall(r'^([\w-]+):', text, re.MULTILINE))


def parse(tool, arguments):
    """The arguments as the tool itself reads them; None: it has printed its help."""
    sys.argv = [str(tool), *arguments]
    spec = importlib.util.spec_from_file_location(f'tool_{tool.stem}', tool)
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    try:
        return module.parse_args()
    except SystemExit as stop:
        if stop.code:
            raise ValueError('the tool refuses these arguments') from stop
        return None


def check_names(words):
    """Of a command that may leave out a config, say: tool, options and files exist."""
    files = [word for word in words if re.match(r'(tools|configs|tests)/', word)]
    assert all((ROOT / file).exists() for file in files), files
    known = ''.join(path.read_text() for path in [*PARSERS, ROOT / files[0]])
    for option in re.findall(r'--[a-z][a-z-]+', ' '.join(words)):
        assert option == '--help' or f"'{option}'" in known, option


def check(words):
    """One command: that what it names is there."""
    name, *arguments = words
    if name in LAUNCHERS:
        place = next(i for i, word in enumerate(words) if word.startswith('tools/'))
        name, arguments = 'python', words[place:]
    if name == 'make':
        assert set(arguments) <= targets(), arguments
    elif name == 'python' and arguments[0] == '-m':
        check_module(*arguments[1:])
    elif name == 'python' and 'def parse_args' not in (ROOT / arguments[0]).read_text():
        check_names(words)
    elif name == 'python':
        args = parse(ROOT / arguments[0], arguments[1:])
        if getattr(args, 'config', None):
            check_config(args)
        if getattr(args, 'judge', None):
            assert Path(args.judge[0]).is_file()
    else:
        assert name in OTHERS, f'{name} is not known here'


def check_module(name, *arguments):
    assert importlib.util.find_spec(name), name
    if name == 'pytest':
        assert (ROOT / arguments[0]).exists(), arguments[0]


def check_config(args):
    """It is there, and the options fit; a run keeps its config under the same name."""
    path = Path(args.config)
    name = path.name if path.parts[0] == 'work_dirs' else args.config
    file = cli.find_config(name, ROOT / 'configs')
    cfg = Config.fromfile(file, import_custom_modules=False)
    cfg.merge_from_dict(args.cfg_options or {})


def run_commands(block, folder):
    """Checks each command, and runs them where the block says so, by this Python."""
    for words in commands(block.text):
        try:
            check(words)
        except Exception as error:
            raise AssertionError(f'{block}: {shlex.join(words)}') from error
    if 'run' not in block.marks:
        return
    script = f'python() {{ {sys.executable} -W ignore "$@"; }}\n{block.text}'
    done = subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', script],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f'{block}\n{done.stdout[-3000:]}'


INLINE = re.compile(r'`((?:python |make |tools/\w+\.py )[^`\n]*)`')


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_commands_within_the_text(page):
    """They may leave out a config, say; tool, options and files are there."""
    for line in INLINE.findall(page.read_text(encoding='utf-8')):
        words = line.split()
        if words[0] == 'make' or words[1] == '-m':
            check(words)
        else:
            check_names(words)
