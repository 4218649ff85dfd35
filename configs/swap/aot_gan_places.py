# MMagic's AOT-GAN on Places with a scoring rule in place of L1, perceptual and style
# loss. K is 4: images are of 512x512
_base_ = 'mmagic::aot_gan/aot-gan_smpgan_4xb4_places-512x512.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='aot', num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MRAOTInpaintor', **samples)
