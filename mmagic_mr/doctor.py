"""What is installed, what does not fit, and the pip line that mends it.

    python -m mmagic_mr.doctor

It reads what pip wrote down and imports nothing of it, so that it works, in a second,
where nothing else does. The versions that fit are those that the package requires.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mmagic_mr.errors import UserError

OURS = 'mmagic-mr'
# Full mmcv, built from source against the torch that is installed. Its setup.py takes
# pkg_resources, and a setuptools before 70.1 needs wheel. mmcv-lite goes first: they
# share a folder
INSTALL_MMCV = (
    'pip install "setuptools<81" wheel && '
    'pip uninstall -y mmcv mmcv-lite && '
    'pip install --no-cache-dir --no-build-isolation mmcv=={version}'
)
# Loads the compiled part of mmcv as Python would, in a process of its own: it may crash
LOAD = """
import ctypes, sys
for library in sys.argv[1:]:
    ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
"""
TORCH_LIBRARIES = ('c10', 'torch_cpu', 'torch_python', 'c10_cuda', 'torch_cuda')


class BrokenInstallError(UserError, ImportError):
    """MMagic does not import; the message says what to install."""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit.

    Attributes:
        what: It, and what would.
        install: A requirement for pip, or the whole line.
    """

    what: str
    install: str


@dataclass(frozen=True)
class Environment:
    """What pip has written down of an environment.

    Attributes:
        packages: By canonical name.
        requirements: What this package requires, without extras.
    """

    packages: dict[str, Distribution]
    requirements: list[Requirement]

    @classmethod
    def read(cls, folders: list[str] | None = None) -> 'Environment':
        """That of this Python, or of other folders like site-packages."""
        found = distributions(path=sys.path if folders is None else folders)
        packages: dict[str, Distribution] = {}
        for package in found:
            name = package.metadata['Name']  # None: a folder that pip left half removed
            if name:  # the first on the path is the one that is imported
                packages.setdefault(canonicalize_name(name), package)
        ours = packages[OURS].requires if OURS in packages else None
        needed = map(Requirement, ours or [])
        return cls(packages, [r for r in needed if not r.marker])

    def version(self, name: str) -> str | None:
        """Of a package; None: it is not there."""
        package = self.packages.get(canonicalize_name(name))
        return None if package is None else package.version

    def findings(self) -> list[Finding]:
        """All that does not fit, the first of them first to be mended."""
        if OURS not in self.packages:
            return [
                Finding(
                    'mmagic_mr is not installed', 'pip install -c constraints.txt .'
                )
            ]
        judged = [self._judge(requirement) for requirement in self.requirements]
        return [finding for finding in (*judged, self._mmcv()) if finding is not None]

    def _judge(self, requirement: Requirement) -> Finding | None:
        name = requirement.name
        if name == 'mmcv-lite' and self.version('mmcv'):
            return None  # full mmcv has all of it
        version = self.version(name)
        wanted = self._torchvision() if name == 'torchvision' else requirement
        if version is None:
            return Finding(f'{name} is missing', str(wanted))
        if wanted.specifier.contains(version, prereleases=True):
            return None
        return Finding(f'{name} {version} does not fit: {wanted}', str(wanted))

    def _torchvision(self) -> Requirement:
        """The one release that goes with a torch: 0.(N+15) with 2.N."""
        torch = self.version('torch')
        if torch is None:
            return Requirement('torchvision')
        release = Version(torch)
        return Requirement(f'torchvision==0.{release.minor + 15}.{release.micro}')

    def _mmcv(self) -> Finding | None:
        """Of full mmcv, which shares its folder with mmcv-lite."""
        full, lite = self.packages.get('mmcv'), self.version('mmcv-lite')
        pinned = [r for r in self.requirements if r.name == 'mmcv-lite']
        if full is None or not pinned:
            return None
        wanted = next(iter(pinned[0].specifier)).version
        install = INSTALL_MMCV.format(version=wanted)
        if full.version != wanted:
            return Finding(f'mmcv {full.version} does not fit: {wanted}', install)
        if lite not in (None, wanted):
            both = f'mmcv {wanted} and mmcv-lite {lite} share a folder'
            return Finding(both, f'mmcv-lite=={wanted}')
        error = load_error(full, self.packages.get('torch'))
        if error is None:
            return None
        torch = f'torch {self.version("torch")}'
        what = f'the compiled part of mmcv {wanted} does not fit {torch}: {error}'
        spared = 'mmagic_mr works without it, and compiling it takes long'
        return Finding(f'{what} ({spared})', install)


def load_error(mmcv: Distribution, torch: Distribution | None) -> str | None:
    """Why the compiled part of full mmcv does not load; None: it does, or is none."""
    compiled = sorted(Path(str(mmcv.locate_file('mmcv'))).glob('_ext*.so'))
    if not compiled or torch is None:
        return None
    folder = Path(str(torch.locate_file('torch'))) / 'lib'
    libraries = [folder / f'lib{name}.so' for name in TORCH_LIBRARIES]
    there = [str(path) for path in (*libraries, *compiled[:1]) if path.is_file()]
    done = subprocess.run(
        [sys.executable, '-c', LOAD, *there], capture_output=True, text=True
    )
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f'it crashes ({done.returncode})'


def pip_lines(findings: list[Finding]) -> list[str]:
    """What to type: one line for all requirements, then what is a line of its own."""
    whole = [f.install for f in findings if f.install.startswith('pip ')]
    chosen = [f.install for f in findings if f.install not in whole]
    if not chosen:
        return whole
    quoted = (f'"{x}"' if set(x) & set('<>!') else x for x in chosen)
    return [f'pip install {" ".join(quoted)}', *whole]


def advice(environment: Environment | None = None) -> str:
    """The findings and the lines, for the end of an error message.

    Args:
        environment: None: that of this Python.
    """
    findings = (environment or Environment.read()).findings()
    if not findings:
        return 'every version that is required is there (python -m mmagic_mr.doctor)'
    what = '; '.join(f.what for f in findings)
    return f'{what}. To mend it: {" && ".join(pip_lines(findings))}'


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Lets an import that fails say what to install.

    Raises:
        BrokenInstallError: An ImportError, or what a wrong version raises while it is
            imported, came out.
    """
    try:
        yield
    except UserError:
        raise
    except (ImportError, AttributeError, AssertionError, OSError) as error:
        raise BrokenInstallError(
            f'{what} does not import ({type(error).__name__}: {error}): {advice()}'
        ) from error


def main(environment: Environment | None = None) -> int:
    """Prints the versions, the findings and the lines; 1 where something is wrong."""
    environment = environment or Environment.read()
    print(f'Python {sys.version.split()[0]}')
    findings = environment.findings()
    for name in ('mmagic-mr', *(r.name for r in environment.requirements), 'mmcv'):
        version = environment.version(name)
        if version is not None:
            print(f'  {name} {version}')
    if not findings:
        print('all of it fits')
        return 0
    print('\nwhat does not fit:')
    for finding in findings:
        print(f'  {finding.what}')
    print('\nto mend it:')
    for line in pip_lines(findings):
        print(f'  {line}')
    return 1


if __name__ == '__main__':
    sys.exit(main())
