# MMagic's SwinIR x4 with a scoring rule in place of L1: no GAN, and many answers.
# z at the convolution that ends each group of transformer blocks. MMagic's own loop of
# validation is none for its metrics
_base_ = 'mmagic::swinir/swinir_x4s48w8d6e180_8xb4-lr2e-4-500k_div2k.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
crps = dict(type='CRPSLoss', views=dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0))
noise = dict(sites={r'layers\.\d+\.conv': 16})
samples = dict(noise=noise, num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MREditModel', **samples)
val_cfg = dict(type='MultiValLoop')
