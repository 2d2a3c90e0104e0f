"""The decorator of immutable values, whose methods are there already.

`dataclass` writes and compiles six methods for each class whenever its module is imported. For the
values that a command of the client needs that was an eighth of all its work.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from inspect import Signature

T = TypeVar("T")
_set = object.__setattr__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Make of a class what `dataclass(frozen=True, slots=True)` makes of it, without generated code.

    It is a dataclass: `replace`, `fields` and `asdict` take it. To make a value takes a microsecond
    or two more. All fields are parameters, by place or by name. Source: PEP 557, PEP 681.
    """
    made = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, member in _MEMBERS.items():
        setattr(made, name, member)
    return made


def _init(self: Any, /, *given: Any, **named: Any) -> None:
    cls = type(self)
    names = cls.__match_args__
    if len(given) > len(names):
        raise TypeError(f"{cls.__name__}() takes {len(names)} values, and got {len(given)}")
    for name, item in zip(names, given, strict=False):
        if name in named:
            raise TypeError(f"{cls.__name__}() got two values for {name!r}")
        _set(self, name, item)
    for name in names[len(given) :]:
        if name in named:
            item = named.pop(name)
        elif (item := _default(cls.__dataclass_fields__[name])) is MISSING:
            raise TypeError(f"{cls.__name__}() lacks a value for {name!r}")
        _set(self, name, item)
    if named:
        raise TypeError(f"{cls.__name__}() has no field {min(named)!r}")
    if hasattr(cls, "__post_init__"):
        self.__post_init__()


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def _items(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> bool:
    return _items(self) == _items(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_items(self))


def _setattr(self: Any, name: str, item: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), _items(self)


class _Signature:
    """The parameters as help() shows them; made when they are asked for."""

    def __get__(self, item: object, cls: Any) -> Signature:
        from inspect import Parameter, Signature

        parameters = []
        for one in fields(cls):
            default = _default(one)
            parameters.append(
                Parameter(
                    one.name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if default is MISSING else default,
                    annotation=one.type,
                )
            )
        return Signature(parameters)


_MEMBERS: dict[str, object] = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__reduce__": _reduce,
    "__signature__": _Signature(),
}
