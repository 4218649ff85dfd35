"""What an update of the generator costs: counts, which no machine changes."""

import pytest
import torch
from helpers import hosts, pix2pix
from helpers.memory import saved_bytes
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmagic_mr.models.batch import Batch

N, K = 2, 3
LAYERS = nn.Conv2d, nn.ConvTranspose2d, nn.Linear


def seen_by_layers(network, function):
    """Input, output and whether a gradient is wanted, of each call of each layer."""
    calls = []

    def watch(module, args, output):
        calls.append((module, args[0].detach(), output, args[0].requires_grad))

    handles = [
        m.register_forward_hook(watch) for m in network.modules() if type(m) in LAYERS
    ]
    function()
    for handle in handles:
        handle.remove()
    return calls


def flop(module, x, output):
    """Of one row and one input channel: two for each multiplication."""
    if isinstance(module, nn.Linear):
        return 2 * module.out_features
    kernel = module.kernel_size[0] * module.kernel_size[1]
    places = x if isinstance(module, nn.ConvTranspose2d) else output
    return 2 * kernel * places[0, 0].numel() * module.out_channels


def bound(network, function, trained):
    """FLOP of forward and backward, if nothing is computed twice for an input.

    Args:
        network: Whose layers count.
        function: Runs it for one input, on samples that its argument tells apart.
        trained: Whether its weights get gradients.
    """
    pairs = zip(
        *(seen_by_layers(network, lambda s=s: function(s)) for s in (1, 2)), strict=True
    )
    total = 0
    for (module, x, output, wanted), (_, other, _, _) in pairs:
        differs = (x != other).transpose(0, 1).flatten(1).any(1)
        of_samples = int(differs.sum())
        of_inputs = x.shape[1] - of_samples
        # Where the weights are frozen, gradients are of what samples differ in alone
        backward = N * K * of_samples + N * of_inputs * trained
        rows = N * K * of_samples + N * of_inputs
        total += flop(module, x, output) * (
            rows + trained * rows + (wanted and backward)
        )
    return total


def of_attention(generator, batch):
    attention = generator.stage2.contextual_attention_neck.contextual_attention
    side = batch.x.shape[-1] // 4
    features = torch.rand(N, 16, side, side, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        output, _ = attention(features, features, torch.zeros(N, 1, side, side))
        output.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize('host', hosts.HOSTS)
def test_flop_are_those_of_the_architecture(host):
    spec = hosts.HOSTS[host]
    model = hosts.build(spec.config, num_samples=K).eval()
    batch = hosts.batch_of(model, spec.data(N))
    generator = getattr(model, model.generator_name)
    one = batch.first(1)
    expected = bound(
        generator, lambda seed: model.draw(generator, one, 1, seeds=[seed]), True
    )
    if host != 'edit':
        network = model.bare_discriminator.requires_grad_(False)

        def judge(seed):
            rng = torch.Generator().manual_seed(seed)
            image = torch.rand(one.y[None].shape, generator=rng, requires_grad=True)
            return model.discriminate(network, one, image)

        expected += bound(network, judge, False)
        if host == 'esrgan':  # relativistic: the targets are judged as well
            calls = seen_by_layers(network, lambda: judge(1))
            expected += N * sum(flop(m, x, y) * x.shape[1] for m, x, y, _ in calls)
    if host == 'two_stage':  # attention, whose weights are features, once for an input
        expected += of_attention(generator, batch)
    with FlopCounterMode(display=False) as counter:
        samples, batch = hosts.drawn(model, batch, K, seeds=[1, 2])
        sum(model.generator_losses(batch, samples).values()).backward()
    print(f'{host}: {counter.get_total_flops() / expected:.4f} of the bound')
    assert 0.97 < counter.get_total_flops() / expected < 1.03


@pytest.mark.slow
def test_bytes_that_are_kept_at_256():
    """U-Net of 54 M parameters (207 MiB of what is kept) and PatchGAN; K = 10, MR2."""
    networks = pix2pix.config(num_down=8, base_channels=64)
    networks['discriminator']['num_conv'] = 3
    model = pix2pix.build(**networks | dict(num_samples=10))
    batch = Batch(*torch.randn(2, 2, 3, 256, 256))
    for bfloat16, most in (True, 380), (False, 700):
        context = torch.autocast('cpu', torch.bfloat16, enabled=bfloat16)
        with saved_bytes() as sizes, context:
            samples = model.draw(model.generators, batch, 10, seeds=[1, 2])
            losses = model.generator_losses(batch, samples)
        kept = sum(sizes) / 2**20
        print(f'{"bf16" if bfloat16 else "fp32"}: {kept:.0f} MiB')
        assert most / 2 < kept < most
        del samples, losses
