"""Samples for one file, as the tools draw them."""

from mmagic_mr.inference import draw, read_input


def sample_image(model, path, num_samples, seed, pair=False, mask=None):
    one = read_input(model, path, pair, mask)
    return draw(model, [one], num_samples, seed)[0]
