# MMagic's EDSR x4 with a scoring rule in place of L1: no GAN, and many answers
_base_ = 'mmagic::edsr/edsr_x4c64b16_1xb16-300k_div2k.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
crps = dict(type='CRPSLoss', views=dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0))
samples = dict(noise='edsr', num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MREditModel', **samples)
