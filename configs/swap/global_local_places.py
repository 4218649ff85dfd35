# MMagic's Global&Local on Places with a scoring rule in place of L1 in the hole
_base_ = 'mmagic::global_local/gl_8xb12_places-256x256.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='glcic', num_samples=6, sample_losses=dict(crps=crps))
model = dict(type='MRGLInpaintor', **samples)
