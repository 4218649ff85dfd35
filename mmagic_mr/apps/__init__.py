"""Pages for people. They need the extra: ``pip install mmagic_mr[app]``."""

from mmagic_mr.apps import outside

outside.silence()  # before anything here imports Gradio
