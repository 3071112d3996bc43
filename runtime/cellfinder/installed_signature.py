"""Order of the arguments of ``classify.main`` in the installed release of cellfinder.

cellfinder 1.11 put ``dimensions`` before ``callback``, so what a positional argument means depends
on the release. Its source is parsed rather than imported, since an import would load torch.
"""

import ast
import functools
import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ..errors import InputError

_P = ParamSpec("_P")
_R = TypeVar("_R")

_FILE = Path("core", "classify", "classify.py")
_UNKNOWN = object()  # a default that is not a literal


def bind_as_installed(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Give a function the signature of the installed ``classify.main``.

    Parameters
    ----------
    function : callable
        Function with the same names of arguments; further ones are taken by keyword.

    Returns
    -------
    callable
        Function that binds positional arguments as the installed release does, or in the order of
        ``function`` if cellfinder is not installed.
    """
    own = inspect.signature(function)
    parameters = read_parameters() or list(own.parameters.values())
    order = positional_names(parameters)
    defaults = {parameter.name: parameter.default for parameter in parameters}

    @functools.wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        arguments = name_arguments(function.__name__, order, args, kwargs)
        return function(**drop_defaults(arguments, own.parameters, defaults))  # type: ignore

    shared = (p for p in parameters if p.name in own.parameters)
    first = [own.parameters[p.name].replace(kind=p.kind) for p in shared]
    names = {parameter.name for parameter in first}
    others = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for name, parameter in own.parameters.items()
        if name not in names
    ]
    bound.__signature__ = own.replace(parameters=[*first, *others])  # type: ignore
    return bound


def read_parameters() -> list[Parameter] | None:
    """Read the parameters of the installed ``classify.main``; None if there is none to read."""
    try:
        spec = importlib.util.find_spec("cellfinder")
        folders = spec.submodule_search_locations if spec else None
        source = Path(next(iter(folders or ())), _FILE).read_bytes()
        tree = ast.parse(source)
    except (StopIteration, OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            return _parameters(node.args)
    return None


def positional_names(parameters: Sequence[Parameter]) -> list[str]:
    """Return the names that positional arguments get, in order.

    A release with keyword-only arguments alone still maps positional ones, in their order.
    """
    names = [p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    return names or [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY]


def name_arguments(
    function: str, order: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all arguments of a call by name.

    Raises
    ------
    TypeError
        There are too many positional arguments, or one is given twice.
    """
    if len(args) > len(order):
        raise TypeError(
            f"{function}() takes {len(order)} positional arguments but {len(args)} were given"
        )
    arguments = dict(zip(order, args, strict=False))
    for name in arguments.keys() & kwargs.keys():
        raise TypeError(f"{function}() got multiple values for argument '{name}'")
    return {**arguments, **kwargs}


def drop_defaults(
    arguments: Mapping[str, Any], names: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Drop arguments of a newer cellfinder that are at their defaults, as they change nothing.

    Raises
    ------
    InputError
        An argument that cfzoo does not have is not at its default.
    """
    for name in arguments.keys() & defaults.keys() - names.keys():
        if arguments[name] is not defaults[name] and arguments[name] != defaults[name]:
            raise InputError(
                f"{name} is {arguments[name]!r}, an option of the installed cellfinder that cfzoo "
                "does not have. Leave it out, or use a model of cellfinder's own."
            )
    return {k: v for k, v in arguments.items() if k in names or k not in defaults}


def _parameters(arguments: ast.arguments) -> list[Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = zip(positional, [*missing, *arguments.defaults], strict=True)
    parameters = [_parameter(a, d, Parameter.POSITIONAL_OR_KEYWORD) for a, d in pairs]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return parameters + [_parameter(a, d, Parameter.KEYWORD_ONLY) for a, d in pairs]


def _parameter(argument: ast.arg, default: ast.expr | None, kind: Any) -> Parameter:
    if default is None:
        return Parameter(argument.arg, kind)
    try:
        value = ast.literal_eval(default)
    except ValueError:
        value = _UNKNOWN
    return Parameter(argument.arg, kind, default=value)
