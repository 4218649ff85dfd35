"""Explorer of trained models in a browser. See docs/explorer.md."""

from mmagic_mr import cli
from mmagic_mr.apps.cli import main

if __name__ == '__main__':
    with cli.short_errors():
        main()
