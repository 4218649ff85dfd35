#!/usr/bin/env bash
# Checks that what `python -m mmagic_mr.doctor` prints mends an environment: five copies of
# the one that `make setup` made are broken with real packages, the printed line is run by a
# shell, and then the doctor finds nothing, what failed works, and a small model draws.
#   bash tools/check_doctor.sh [CASE ...]
# The copies are hard links (pip replaces files and writes into none), so they take little
# room; it needs the network. Four cases take minutes. The fifth, mmcv_of_another_torch,
# compiles all of mmcv: 15 minutes of a processor and more. MAX_JOBS says how many at once.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
CASES=(no_mmcv wrong_mmagic numpy_2 other_torchvision mmcv_of_another_torch)
declare -A BREAK WORKS

# What breaks it, and Python that fails then and works afterwards.
BREAK[no_mmcv]='pip uninstall -y mmcv-lite mmcv'
WORKS[no_mmcv]='import mmagic_mr.plugin'

BREAK[wrong_mmagic]='pip install --no-deps mmagic==1.1.0'
WORKS[wrong_mmagic]='import mmagic_mr.plugin'

# With the plugin, MMagic works all the same, as it names what numpy 2 has dropped; this is
# MMagic by itself.
BREAK[numpy_2]='pip install --no-deps numpy==2.2.6'
WORKS[numpy_2]='import mmagic.datasets.transforms'

BREAK[other_torchvision]='pip install --no-deps torchvision==0.25.0'
WORKS[other_torchvision]='import torchvision'

# mmcv itself, built by its own setup.py; but in place of its ops stands one file that
# calls what torch had before 2.6, when std::string was another class.
BREAK[mmcv_of_another_torch]='
pip install wheel
pip download --no-cache-dir --no-deps --no-build-isolation --no-binary :all: mmcv==2.1.0
rm -rf mmcv-2.1.0
tar xf mmcv-2.1.0.tar.gz
rm mmcv-2.1.0/mmcv/ops/csrc/pytorch/*.cpp mmcv-2.1.0/mmcv/ops/csrc/pytorch/cpu/*.cpp
cat >mmcv-2.1.0/mmcv/ops/csrc/pytorch/old.cpp <<END
#define _GLIBCXX_USE_CXX11_ABI 0
#include <string>
namespace c10::detail {
void torchCheckFail(const char*, const char*, unsigned, const std::string&);
}
void op() { c10::detail::torchCheckFail("op", "old.cpp", 6, std::string("no")); }
END
pip uninstall -y mmcv-lite
pip install --no-cache-dir --no-deps --no-build-isolation ./mmcv-2.1.0
pip uninstall -y wheel'
WORKS[mmcv_of_another_torch]='
import torch
from mmcv.ops import nms
boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 7], [9, 9, 12, 12]])
assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist() == [0, 2]'

DRAW='
import mmagic_mr.plugin

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmagic_mr.host import MODELS
from mmagic_mr.inference import draw, read_input

init_default_scope("mmagic")
model = MODELS.build(Config.fromfile(CONFIG).model).eval()
model.init_weights()
model.cfg = Config.fromfile(CONFIG)
label = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
cv2.imwrite("label.png", label)
with torch.no_grad():
    (drawn,) = draw(model, [read_input(model, "label.png")], num_samples=4, seed=0)
assert drawn.samples.shape == (4, 3, 32, 32)
assert drawn.sample_var.max() > 0'
DRAW=${DRAW//CONFIG/\"$ROOT/configs/pix2pix_recommended_demo.py\"}

mkdir -p "$ROOT/build"
WORK=$(mktemp -d "$ROOT/build/doctor.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK"
export PIP_REQUIRE_VIRTUALENV=1  # no pip but that of the copy

say() { printf '\n== %s\n' "$*"; }
# The Python of the copy, with the package of this clone.
py() { PYTHONPATH="$ROOT" OMP_NUM_THREADS=1 python -W ignore "$@"; }
state() { find "$SITE" -type f -not -name '*.pyc' -printf '%p %s %T@\n' | sort | sha256sum; }

# Breaks a copy, does what the doctor says, and looks again. Sets what, line and the
# seconds of both; what fails is said, and is the status.
check() {
    what='' line='' asked='' took=''
    rm -rf env && cp -al whole env || return 1
    bash -euo pipefail -c "${BREAK[$1]}" >"$1.log" 2>&1 || { echo 'not broken'; return 1; }
    ! py -c "${WORKS[$1]}" >>"$1.log" 2>&1 || { echo 'works though broken'; return 1; }
    tail -n 1 "$1.log"

    asked=$( { TIMEFORMAT=%R; time py -m mmagic_mr.doctor >said; } 2>&1 ) &&
        { echo 'the doctor finds nothing'; return 1; }
    sed -n '/^what does not fit/,$p' said
    what=$(sed -n '/^what does not fit/,/^$/s/^  //p' said)
    line=$(sed -n '/^to mend it/,$s/^  //p' said)
    [ "$(wc -l <<<"$line")" = 1 ] || { echo 'not one line'; return 1; }

    SECONDS=0
    bash -c "$line" >>"$1.log" 2>&1 || { tail -n 40 "$1.log"; return 1; }
    took=$SECONDS
    py -m mmagic_mr.doctor >said || { cat said; return 1; }
    py -c "${WORKS[$1]}" >"$1.log" 2>&1 || { tail -n 5 "$1.log"; return 1; }
    py -c "$DRAW" >"$1.log" 2>&1 || { tail -n 5 "$1.log"; return 1; }
    echo 'all of it fits, what failed works, and a small model draws'
}

say 'a copy of the environment of make setup'
SITE=$("$ROOT/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
before=$(state)
"$ROOT/.venv/bin/python" -m venv env
source env/bin/activate
COPY=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -r "$COPY"
cp -al "$SITE" "$COPY"
[ "$(command -v pip)" = "$WORK/env/bin/pip" ]
py -m mmagic_mr.doctor
mv env whole

[ $# -gt 0 ] || set -- "${CASES[@]}"
failed=0 table=''
for case; do
    say "$case"
    if check "$case"; then mended=yes; else mended=no failed=1; fi
    table+=$(printf '%-22s %-6s %6s %6s  %s\n%44s%s' \
        "$case" "$mended" "$asked" "$took" "$what" '' "$line")$'\n'
done
[ "$(state)" = "$before" ] || { echo "$SITE has changed"; failed=1; }

say 'what the doctor says, the line, and the seconds that both took'
printf '%-22s %-6s %6s %6s\n' case mended doctor line
printf '%s' "$table"
exit "$failed"
