"""Registries that import a class when its name is asked for.

Which file registers which name is read from the source, without importing it. Whatever
looks through a whole registry, or asks for a name that nothing is known of, has all of
it imported first: so an error that lists or guesses names knows them all.
"""

import importlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from mmengine.registry import Registry

from mmagic_mr.errors import UserError
from mmagic_mr.lazy_packages import load

_CLASS = re.compile(r'((?:^@.*\n)+)^(?:class|def) (\w+)', re.MULTILINE)
_DECORATOR = re.compile(
    r'^@(\w+)\.register_module\((?:name=)?[\'"]?([\w-]*)[\'"]?\)', re.MULTILINE
)
_CALL = re.compile(
    r'^(\w+)\.register_module\((?:name=)?[\'"]([\w-]+)[\'"], module=', re.MULTILINE
)
_FROM_MMENGINE = re.compile(r'^from mmengine\.registry import .*', re.MULTILINE)


def _bring_in(source):
    """Import a module; where a function is named (``module:function``), call it."""
    module, _, function = source.partition(':')
    found = importlib.import_module(module)
    if function:
        getattr(found, function)()


class _Modules(dict):
    """Name to class; a name that waits is imported before anybody sees it."""

    def __init__(self, known, locations):
        super().__init__(known)
        self.waiting: dict[str, str] = {}
        self.locations = locations
        self.loaded = False
        self.errors: list[Exception] = []

    def _settle(self, name):
        """Bring in a name that waits. One that is on its way waits no longer."""
        source = self.waiting.pop(name, None)
        if source is None or dict.__contains__(self, name):
            return
        try:
            _bring_in(source)
        except ImportError as error:
            self.waiting[name] = source
            missing = (error.name or 'of this error').split('.')[0]
            if missing == source.split('.')[0]:
                raise
            raise UserError(
                f'{name} needs the package {missing}, which is not installed, or not '
                f'in a release that fits ({error}). Few models need it; install the '
                f'release that constraints.txt names'
            ) from error

    def load(self):
        """Import everything, once."""
        if self.loaded:
            return
        self.loaded = True
        for location in self.locations:
            self.errors += load(location)
        for name in list(self.waiting):
            try:
                self._settle(name)
            except (ImportError, UserError) as error:
                self.errors.append(error)

    def __contains__(self, name):
        self._settle(name)
        return super().__contains__(name)

    def __getitem__(self, name):
        self._settle(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        return self[name] if name in self else default  # noqa: SIM401

    def __setitem__(self, name, module):
        self._settle(name)
        super().__setitem__(name, module)

    def __iter__(self):
        self.load()
        return super().__iter__()

    def __len__(self):
        self.load()
        return super().__len__()

    def keys(self):
        self.load()
        return super().keys()

    def values(self):
        self.load()
        return super().values()

    def items(self):
        self.load()
        return super().items()


class _LazyRegistry(Registry):
    """A registry that has all imported before it says that there is no such name."""

    def get(self, key):
        scope, name = self.split_scope_key(key)
        if scope not in (None, self.scope):
            return super().get(key)
        registries = [self]
        while scope is None and registries[-1].parent is not None:
            registries.append(registries[-1].parent)
        if any(name in registry._module_dict for registry in registries):
            return super().get(key)
        self._module_dict.load()
        found = super().get(key)
        if found is None and self._module_dict.errors:
            said = '; '.join(sorted({str(each) for each in self._module_dict.errors}))
            warnings.warn(
                f'{key} may be among what could not be imported: {said}', stacklevel=2
            )
        return found


def _registered(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """What the files of a package register.

    Yields:
        Module, variable of the registry, name, whether the registry is mmengine's.
    """
    for path in sorted(folder.rglob('*.py')):
        inside = path.relative_to(folder.parent).with_suffix('')
        text = path.read_text(encoding='utf-8')
        if '.register_module(' not in text or any('.' in part for part in inside.parts):
            continue
        module = '.'.join(inside.parts).removesuffix('.__init__')
        theirs = ' '.join(_FROM_MMENGINE.findall(text))
        found = [
            (variable, name or own)
            for decorators, own in _CLASS.findall(text)
            for variable, name in _DECORATOR.findall(decorators)
        ]
        for variable, name in found + _CALL.findall(text):
            yield module, variable, name, variable in theirs.split()


def defer(registry: Registry, name: str, source: str) -> None:
    """Have a registry bring in a name when it is asked for.

    Args:
        source: Module whose import registers it, or ``module:function``, whose call
            does.
    """
    if not isinstance(registry, _LazyRegistry):
        registry._module_dict = _Modules(registry._module_dict, registry._locations)
        registry.__class__ = _LazyRegistry
    registry._module_dict.waiting.setdefault(name, source)


def make_lazy(registries: ModuleType, without: str) -> None:
    """Let the registries of a package find its classes before they are imported.

    Args:
        registries: The module of the package that holds its registries.
        without: A folder of the package that nobody wants.
    """
    folder = Path(registries.__file__).parent
    for module, variable, name, inherited in _registered(folder):
        if not module.startswith(f'{folder.name}.{without}.'):
            registry = getattr(registries, variable)
            defer(registry.parent if inherited else registry, name, module)


def imported(registry: Registry) -> dict[str, type]:
    """Name to class of those in a registry that are imported already."""
    return dict(dict.items(registry._module_dict))
