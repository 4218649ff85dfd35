# Baseline: GAN + 100 L1 (MMagic's own term) with the same noise, one sample per input.
_base_ = './_base_/pix2pix_paired.py'

model = dict(mr_loss=None, num_samples=1, gen_batch_size=None)
