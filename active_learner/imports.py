"""Python named in a configuration as module:attribute. Knows where to look and how to say what was not found."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from active_learner.errors import BadNetwork


def resolve(name: str, base: Path) -> Any:
    """The attribute `module:attribute` (dots allowed on both sides), imported.

    `base` and the working directory are looked at last: a `protocol.py` of the user's own must not win over ours.
    Raises: BadNetwork.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise BadNetwork(f"{name!r} must be module:attribute, such as network:make")
    folders = _look_in(base)
    found = _module(name, module_name, folders)
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = ", ".join(one for one in dir(found) if not one.startswith("_")) or "nothing"
            raise BadNetwork(f"{name!r}: {_origin(module_name)} has no {part!r}; it has: {public}")
        found = getattr(found, part)
    return found


def _look_in(base: Path) -> list[str]:
    folders = [str(base.resolve()), str(Path.cwd())]
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)
    return folders


def _module(name: str, module_name: str, folders: list[str]) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            places = " and ".join(dict.fromkeys(folders))
            raise BadNetwork(f"{name!r}: no module {error.name!r} among the installed ones or in {places}") from None
        raise BadNetwork(f"{name!r}: module {module_name!r} needs {error.name!r}, which is not installed") from error
    except SyntaxError as error:
        raise BadNetwork(f"{name!r}: {error.filename}:{error.lineno}: {error.msg}") from error
    except Exception as error:  # the user's module may raise anything while it is imported
        raise BadNetwork(f"{name!r}: importing {module_name!r} failed: {type(error).__name__}: {error}") from error


def _origin(module_name: str) -> str:
    return getattr(sys.modules[module_name], "__file__", None) or module_name
