"""Where noise can enter, as text: of one config, and of many networks in a table."""

from collections import Counter
from collections.abc import Iterator, Mapping

from mmagic_mr.models.noise_sites import Survey, pattern_of
from mmagic_mr.reports.table import text_table
from mmagic_mr.sampling import Site

# Of MMagic's configs, those of the table in docs/noise_sites.md.
STOCK = (
    'pix2pix/pix2pix_vanilla-unet-bn_1xb1-80kiters_facades',
    'cyclegan/cyclegan_lsgan-resnet-in_1xb1-80kiters_facades',
    'srgan_resnet/srgan_x4c64b16_1xb16-1000k_div2k',
    'esrgan/esrgan_x4c64b23g32_1xb16-400k_div2k',
    'edsr/edsr_x4c64b16_1xb16-300k_div2k',
    'rdn/rdn_x4c64b16_1xb16-1000k_div2k',
    'srcnn/srcnn_x4k915_1xb16-1000k_div2k',
    'swinir/swinir_x4s48w8d6e180_8xb4-lr2e-4-500k_div2k',
    'restormer/restormer_official_dfwb-color-sigma25',
    'nafnet/nafnet_c64eb2248mb12db2222_8xb8-lr1e-3-400k_sidd',
    'global_local/gl_8xb12_places-256x256',
    'deepfillv2/deepfillv2_8xb2_places-256x256',
    'aot_gan/aot-gan_smpgan_4xb4_places-512x512',
    'partial_conv/pconv_stage1_8xb12_places-256x256',
    'deblurganv2/deblurganv2_fpn-mobilenet_1xb1_gopro',
    'glean/glean_x8_2xb8_cat',
)


def as_text(found: Survey, every: bool = False) -> str:
    """What `survey` found, a line for each place of a convolution in its blocks.

    Args:
        found: Of `survey`.
        every: A line for each convolution instead.
    """
    groups: dict[tuple[str, str | None], list[Site]] = {}
    for site in found.listing.sites:
        name = site.name if every else pattern_of(site.name)
        groups.setdefault((name, site.obstacle), []).append(site)
    suggested = found.suggested()
    rows = []
    for (name, obstacle), sites in groups.items():
        marks = [obstacle] if obstacle else []
        names = {site.name for site in sites}
        marks += [f'preset {p!r}' for p, of in found.presets.items() if names & {*of}]
        marks += ['suggested'] * bool(names.intersection(suggested))
        ends = sites[0], sites[-1]
        sizes = dict.fromkeys(_size(s) for s in ends)
        shares = dict.fromkeys(f'{100 * s.shared:.0f}%' for s in ends)
        share = ' to '.join(shares) if sites[0].size else ''
        size = ' to '.join(sizes)
        rows.append([name, str(len(sites)), size, share, ', '.join(marks)])
    head = f'{found.network}, input of {found.side}x{found.side}. "shared": what K '
    head += 'samples have in common,\nof the multiplications, with noise there alone.\n'
    table = text_table(rows, ['convolution', 'number', 'input', 'shared', ''])
    return '\n'.join([head, table, '', *_choices(found)])


def _choices(found: Survey) -> Iterator[str]:
    share = found.listing.shared
    for name, sites in found.presets.items():
        yield f'noise={name!r}: {len(sites)} sites, shared {100 * share(sites):.0f}%'
    if not found.suggestion:
        yield 'No convolution here can take noise.'
        return
    sites = found.suggested()
    yield (
        f'Suggested: noise=dict(sites={dict(found.suggestion)!r}): {len(sites)} sites, '
        f'shared {100 * share(sites):.0f}%'
    )


def _size(site: Site) -> str:
    if site.size is None:
        return ''
    channels, height, width = site.size
    return f'{channels}x{height}x{width}'


def as_markdown(surveys: Mapping[str, Survey]) -> str:
    """A table with a row for each generator: by config, what `survey` found."""
    heads = [
        'generator',
        'config of MMagic',
        'input',
        'convolutions',
        'that can take noise',
        'others',
        'sites: preset, or else suggested',
        'number',
        'input of the first',
        'shared',
    ]
    lines = [f'| {" | ".join(heads)} |', '|---' * len(heads) + '|']
    for config, found in surveys.items():
        sites = {site.name: site for site in found.listing.sites}
        others = Counter(s.obstacle for s in sites.values() if s.obstacle)
        if found.presets:
            preset, names = next(iter(found.presets.items()))
            where = f'preset `{preset!r}`'
        else:
            where = ', '.join(f'`{p}`' for p in found.suggestion)
            names = found.suggested()
        cells = [
            found.network,
            f'`{config.split("/")[0]}`',
            f'{found.side}x{found.side}',
            str(len(sites)),
            str(len(found.listing.able())),
            ', '.join(f'{count} {why}' for why, count in others.items()),
            where,
            str(len(names)),
            _size(sites[names[0]]) if names else '',
            f'{100 * found.listing.shared(names):.0f}%' if names else '',
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)
