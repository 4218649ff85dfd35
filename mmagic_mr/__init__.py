"""Moment-reconstruction losses for MMagic's conditional GANs.

Configs load the package through ``custom_imports=dict(imports=['mmagic_mr.plugin'])``.
Nothing heavy is imported here, so that ``mmagic_mr.functional`` and the light
tools start at once.
"""

__version__ = '0.1.0'
