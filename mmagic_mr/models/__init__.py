from .. import compat  # noqa: F401  (before mmagic.models)
from .pix2pix import MRPix2Pix

__all__ = ['MRPix2Pix']
