# Trained by `tools/demo.py --task inpaint`: the recommended loss.
_base_ = './_base_/glcic_demo.py'

model = dict(num_samples=6, gen_batch_size=4, sample_losses=dict(crps=_base_.mr_crps))
