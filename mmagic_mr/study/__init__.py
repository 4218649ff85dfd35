"""Realism study in a browser: make it, serve it, score it.

Needs the standard library, Pillow (``make``) and numpy (``score``) only, so that the
server starts at once on any machine. User documentation: docs/study.md.
"""
