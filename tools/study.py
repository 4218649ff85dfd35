"""Realism study in a browser: make, serve, score. See docs/study.md."""

from mmagic_mr.study.cli import main

if __name__ == '__main__':
    main()
