"""Writes what mim shows of the configs: model-index.yml and configs/metafile.yml.

Run it after adding a config; --check says whether there is something to do.
"""

import argparse
import sys
from pathlib import Path

from mmagic_mr.io import write_text
from mmagic_mr.metafile import metafiles

ROOT = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing')
    check = parser.parse_args().check
    changed = [
        (path, text)
        for path, text in metafiles(ROOT).items()
        if not path.is_file() or path.read_text(encoding='utf-8') != text
    ]
    for path, text in changed:
        if not check:
            write_text(path, text)
        print(f'{"not up to date" if check else "written"}: {path.relative_to(ROOT)}')
    sys.exit(1 if check and changed else 0)


if __name__ == '__main__':
    main()
