from .. import compat  # noqa: F401  (before mmagic.models)
from .discriminators import PooledVGG
from .glcic import MRGLInpaintor
from .pix2pix import MRPix2Pix
from .srgan import MRSRGAN

__all__ = ['MRSRGAN', 'MRGLInpaintor', 'MRPix2Pix', 'PooledVGG']
