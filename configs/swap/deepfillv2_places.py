# MMagic's DeepFillv2 on Places with a scoring rule in place of L1 in the second stage.
# The first, whose one coarse image gets no noise, keeps its L1
_base_ = 'mmagic::deepfillv2/deepfillv2_8xb2_places-256x256.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='deepfill', num_samples=6, sample_losses=dict(crps=crps))
model = dict(type='MRTwoStageInpaintor', **samples)
