# MMagic's Pix2Pix on edges2shoes, a scoring rule in place of 100 L1. Dropout
# goes, which is noise beside z
_base_ = 'mmagic::pix2pix/pix2pix_vanilla-unet-bn_wo-jitter-flip-1xb4-190kiters_edges2shoes.py'  # noqa: E501

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='pix2pix', num_samples=6, sample_losses=dict(crps=crps))
model = dict(type='MRPix2Pix', generator=dict(use_dropout=False), **samples)
