"""Turns downloaded datasets into the folders that the configs read.

One module a dataset; ``tools/prepare_data.py`` is the command line over them.
Needs Pillow, NumPy and tqdm only: neither torch nor mmagic is imported.
"""
