#!/usr/bin/env bash
# Builds the archive and the wheel into dist/, checks both, and lists what they stand on:
#     bash tools/build_release.sh [PYTHON]
# The tools for it live in an environment of their own, as a release needs no torch.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3.11}

rm -rf build dist
"$python" -m venv build/venv
build/venv/bin/python -m pip install -q 'build>=1.2,<2' 'twine>=6,<8' 'cyclonedx-bom>=7,<8'

build/venv/bin/python -m build >build/log.txt 2>&1 || { tail -20 build/log.txt; exit 1; }
if grep -q 'absent from the `packages`' build/log.txt; then
    grep 'absent from the `packages`' build/log.txt
    exit 1
fi
build/venv/bin/twine check --strict dist/*

# A wheel is what people run: no tests, no results, and all configs and tools
build/venv/bin/python - dist/*.whl <<'PYTHON'
import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
wrong = [n for n in names if n.startswith(('tests/', 'docs/', 'data/', 'work_dirs/'))]
wrong += [n for n in names if n.endswith(('.pth', '.png', '.pyc'))]
assert not wrong, f'does not belong into a wheel: {wrong}'
for part in 'plugin.py', 'study/page/', '.mim/tools/train.py', '.mim/configs/_base_/':
    assert any(n.startswith(f'mmagic_mr/{part}') for n in names), f'{part} is missing'
print(f'{sys.argv[1]}: {len(names)} files')
PYTHON

# The software that the tested set consists of, as CycloneDX
build/venv/bin/cyclonedx-py requirements constraints.txt -o dist/sbom.json
echo 'dist/sbom.json: what constraints.txt pins'
