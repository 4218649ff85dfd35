"""What needs MMagic and what does not."""

import subprocess
import sys

import pytest

FUNCTIONS = [
    'mmagic_mr.metrics.functional.bootstrap',
    'mmagic_mr.metrics.functional.calibration',
    'mmagic_mr.metrics.functional.diversity',
    'mmagic_mr.metrics.functional.fidelity',
    'mmagic_mr.metrics.functional.reconstruction',
    'mmagic_mr.metrics.networks.extractors',
    'mmagic_mr.metrics.networks.perceptual',
]
LIGHT = [
    'mmagic_mr.metrics.functional.protocols',
    'mmagic_mr.metrics.networks.download',
    'mmagic_mr.metrics.record',
    'mmagic_mr.reports.report',
]


@pytest.mark.parametrize(
    ('modules', 'unwanted'),
    [
        (FUNCTIONS, ['mmagic', 'mmcv', 'mmengine']),
        (LIGHT, ['mmagic', 'mmcv', 'mmengine', 'torch', 'scipy']),
    ],
    ids=['functions', 'light'],
)
def test_modules_import_nothing_that_they_do_not_need(modules, unwanted):
    code = (
        'import importlib, sys\n'
        f'for name in {modules!r}: importlib.import_module(name)\n'
        f'print(sorted(sys.modules.keys() & set({unwanted!r})))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == '[]'
