"""Pages for people. They need the extra: ``pip install mmagic_mr[app]``."""
