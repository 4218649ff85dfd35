"""Packages that import their modules when a name of theirs is asked for.

MMagic's packages import all that lies in them: every editor, and with them diffusers,
transformers, albumentations and a hundred packages more, of which a config uses next to
none. Nothing here knows MMagic; `mmagic_mr.compat` says which package is to be lazy.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import sys
import types


def _is_deferred(statement: ast.stmt) -> bool:
    """Whether a statement of a package's ``__init__`` waits until it is asked for.

    Those are imports of its own modules, and the results of functions that register
    what another package offers.
    """
    if isinstance(statement, ast.ImportFrom):
        return statement.level == 1
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
        and statement.value.func.id.startswith('register_')
    )


def _names(statement: ast.stmt) -> set[str]:
    """The names that a deferred statement binds; ``*`` for all of a module."""
    if isinstance(statement, ast.ImportFrom):
        return {alias.asname or alias.name for alias in statement.names}
    targets = (node for target in statement.targets for node in ast.walk(target))
    return {node.id for node in targets if isinstance(node, ast.Name)}


class LazyPackage(types.ModuleType):
    """A package whose deferred statements run when one of their names is asked for.

    As in any package, the later statement wins where two bind the same name.
    """

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        waiting = list(reversed(self.__dict__['_waiting']))
        for statement in waiting:
            if name in _names(statement):
                self._run(statement)
                return self.__dict__[name]
        for statement in waiting:
            if '*' in _names(statement):
                source = self._module(statement.module)
                if name in getattr(source, '__all__', dir(source)):
                    return getattr(source, name)
        if any(name == getattr(statement, 'module', None) for statement in waiting):
            return self._module(name)
        raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

    def __setattr__(self, name, value):
        # The import system binds a module to its name in the package; a function of
        # the same name that waits (ssim.ssim) would then never be asked for.
        waiting = self.__dict__.get('_waiting', ())
        module = isinstance(value, types.ModuleType)
        if not module or all(name not in _names(statement) for statement in waiting):
            super().__setattr__(name, value)

    def __dir__(self):
        waiting = {name for statement in self._waiting for name in _names(statement)}
        return sorted({*super().__dir__(), *waiting} - {'*'})

    def _module(self, name):
        return importlib.import_module(f'{self.__name__}.{name}')

    def _run(self, statement):
        """Execute a statement; from then on it waits no longer."""
        if '*' in _names(statement):
            self._module(statement.module)  # its names are looked for there
            return
        code = compile(ast.Module([statement], []), self.__file__, 'exec')
        exec(code, self.__dict__)
        if statement in self._waiting:
            self._waiting.remove(statement)


class _Loader(importlib.abc.Loader):
    """Executes a package, but for what is deferred."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def create_module(self, spec):
        return self.inner.create_module(spec)

    def exec_module(self, module):
        source = self.inner.get_source(module.__name__)
        if source is None:  # compiled files alone
            self.inner.exec_module(module)
            return
        tree = ast.parse(source)
        module._waiting = [each for each in tree.body if _is_deferred(each)]
        tree.body = [each for each in tree.body if not _is_deferred(each)]
        module.__class__ = LazyPackage
        exec(compile(tree, module.__file__, 'exec'), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, root):
        self.root = root

    def find_spec(self, name, path, target=None):
        if not name.startswith(f'{self.root}.'):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.submodule_search_locations and spec.loader:
            spec.loader = _Loader(spec.loader)
        return spec


def make_lazy(root: str) -> None:
    """Have the packages inside ``root`` that are not imported yet import lazily.

    Calling it again does nothing new.
    """
    finders = (each for each in sys.meta_path if isinstance(each, _Finder))
    if root not in {finder.root for finder in finders}:
        sys.meta_path.insert(0, _Finder(root))


def load(package: str) -> list[Exception]:
    """Import all that a package, and those inside it, have deferred.

    Returns:
        Why some of it could not be imported.
    """
    importlib.import_module(package)
    tried, errors = set(), []
    while waiting := [
        (module, statement)
        for name, module in list(sys.modules.items())
        if f'{name}.'.startswith(f'{package}.') and isinstance(module, LazyPackage)
        for statement in module._waiting
        if statement not in tried
    ]:
        for module, statement in waiting:
            tried.add(statement)
            try:
                module._run(statement)
            # MMagic unpacks None where a package is missing whose models it registers
            except (ImportError, TypeError) as error:
                errors.append(error)
    return errors
