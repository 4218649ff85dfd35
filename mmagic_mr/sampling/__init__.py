"""Many samples of one input: where noise enters, how it is drawn, what is shared.

Needs torch alone.
"""

from mmagic_mr.sampling.draw import Drawing, sampling
from mmagic_mr.sampling.lean import LeanBackward
from mmagic_mr.sampling.listing import Listing, Site, list_sites
from mmagic_mr.sampling.noise import NOISE_TYPES, NoiseInput, draw_noise
from mmagic_mr.sampling.parts import Part
from mmagic_mr.sampling.sharing import SharedForward
from mmagic_mr.sampling.sites import add_noise_sites

__all__ = [
    'NOISE_TYPES',
    'Drawing',
    'LeanBackward',
    'Listing',
    'NoiseInput',
    'Part',
    'SharedForward',
    'Site',
    'add_noise_sites',
    'draw_noise',
    'list_sites',
    'sampling',
]
