#!/usr/bin/env bash
# Checks the package as a plugin of mim, with the commands of docs/install.md in a fresh
# environment of Python 3.11 (mim's own dependencies do not start on 3.12).
#   bash tools/check_mim.sh [PYTHON]            (10 minutes and 7 GB, given back at the end)
set -euo pipefail
PYTHON=${1:-python3.11}
ROOT=$(cd "$(dirname "$0")/.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
cd "$WORK"

say() { printf '\n== %s\n' "$*"; }
# Shows a command, and what it says only if it fails.
run() {
    printf '\n$ %s\n' "$*"
    "$@" >last.log 2>&1 || { tail -n 40 last.log; exit 1; }
}

say "a fresh environment, and a clone of $(git -C "$ROOT" log -1 --format=%h)"
git clone --quiet "$ROOT" mmagic_mr
"$PYTHON" -m venv env
source env/bin/activate
cd mmagic_mr

say 'the four commands of docs/install.md'
run pip install -c constraints.txt torch torchvision
run pip install openmim
run pip wheel --no-deps -w dist .
# mim looks for builds of mmcv on a server of its own, once a package: where that is out
# of reach, pip's retries would take ten minutes.
export PIP_RETRIES=0
run env PIP_CONSTRAINT="$PWD/constraints.txt" mim install dist/mmagic_mr-*.whl
cd "$WORK"
pip list --format freeze | grep -E '^(mm|openmim|torch|numpy|pandas|setuptools)'

say 'a small data set of PNG files in the folders of Cityscapes'
python - <<'END'
import os

import cv2
import numpy as np

rng = np.random.default_rng(0)
for split, count in ('train', 4), ('val', 2):
    for i in range(count):
        cells = rng.integers(0, 4, (8, 16)).repeat(8, 0).repeat(8, 1)
        label = rng.integers(0, 256, (4, 3))[cells]
        photo = np.clip(label + rng.normal(0, 40, label.shape), 0, 255)
        name = f'ulm_{i:06d}_000019'
        for kind, suffix, image in (
            ('leftImg8bit', 'leftImg8bit', photo),
            ('gtFine', 'gtFine_color', label),
        ):
            folder = f'raw/{kind}/{split}/ulm'
            os.makedirs(folder, exist_ok=True)
            cv2.imwrite(f'{folder}/{name}_{suffix}.png', image.astype(np.uint8))
END
PACKAGE=$(python -c 'import mmagic_mr; print(mmagic_mr.__path__[0])')
run python "$PACKAGE/.mim/tools/prepare_data.py" cityscapes raw data/cityscapes --size 32

say 'mim finds the config in the installed package, and trains'
run mim train mmagic_mr pix2pix_proxy_mr2_cityscapes.py --gpus 0 \
    --work-dir work --cfg-options \
    model.generator.num_down=5 model.generator.base_channels=8 \
    model.discriminator.base_channels=8 model.num_samples=4 model.gen_batch_size=2 \
    train_dataloader.batch_size=4 train_dataloader.num_workers=0 \
    train_dataloader.persistent_workers=False val_dataloader.num_workers=0 \
    val_dataloader.persistent_workers=False custom_hooks.0.max_iters=4 \
    custom_hooks.0.val_interval=2 custom_hooks.1.interval=3 train_cfg.max_iters=3 \
    train_cfg.val_interval=3 default_hooks.checkpoint.interval=3 \
    default_hooks.logger.interval=1
mv last.log train.log
grep -E 'find the config|predictor \[|replaces|Iter\(|successfully' train.log

grep -q 'predictor \[4/4\]' train.log
grep -q 'Iter(train) \[3/3\].*loss_mr' train.log
test -f work/iter_3.pth

say 'mim tests the checkpoint'
SMALL=(model.generator.num_down=5 model.generator.base_channels=8
    model.discriminator.base_channels=8 model.eval_num_samples=4
    test_dataloader.num_workers=0 test_dataloader.persistent_workers=False)
run mim test mmagic_mr pix2pix_proxy_mr2_cityscapes.py --checkpoint work/iter_3.pth \
    --stand-in --work-dir work --out work/test.json --cfg-options "${SMALL[@]}"
mv last.log test.log
grep -E 'find the config|successfully' test.log
python -c 'import json; print("numbers:", len(json.load(open("work/test.json"))["records"]))'

say 'mim runs the other tools by name'
run mim run mmagic_mr export_config pix2pix_proxy_mr2_cityscapes mine.py
grep -q "type='MRPix2Pix'" mine.py
run mim run mmagic_mr sample mine.py work/iter_3.pth data/cityscapes/val --pair \
    --num-samples 2 --out samples --cfg-options "${SMALL[@]}"
test -f samples/ulm_000000_000019/001.png

say 'mim finds the configs by what they train'
run mim search mmagic_mr --dataset cityscapes --condition 'samples>1' --valid-config
grep 'pix2pix_recommended_cityscapes' last.log
say 'passed: mim installs the wheel, trains, tests, runs the tools and searches'
