"""The tables of a policy file, each key checked: the only place that knows what the keys are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

from jsched.confinement import Mode, Network
from jsched.errors import InvalidArgument
from jsched.isolation_config import parse_bind
from jsched.limits import Limits
from jsched.policy.commands import Command
from jsched.policy.document import Document
from jsched.policy.env_names import EnvNames
from jsched.policy.limit_sets import LimitSet
from jsched.policy.lines import Path
from jsched.policy.policy import RoleSource
from jsched.policy.rules import KEYS, Rules, Setting
from jsched.policy.verbs import Reach, Verb
from jsched.profile import LIMITS, limit_changes

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
# A value as TOML has it, and the way to it, to what it means.
_Read = Callable[[Document, Path, Any], Any]

_VERBS = {verb.key: verb for verb in Verb}
_REACHES = {reach.word: reach for reach in Reach}
_MOST = 1_000_000


def table(document: Document, path: Path, known: Iterable[str] | None = None) -> Mapping[str, Any]:
    """Return the table at a path, empty if it is not there; raises InvalidArgument for a key that is not known."""
    value: Any = document.tables
    for name in path:
        value = value.get(name, {})
    if not isinstance(value, Mapping):
        raise document.error(path, f"{_dotted(path)} is not a table")
    if known is not None:
        _check_known(document, path, value, tuple(known), "key")
    return value


def text(document: Document, path: Path, value: Any) -> str:
    """Return a text; raises InvalidArgument for anything else."""
    if not isinstance(value, str):
        raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not a text")
    return value


def read_role_source(document: Document) -> RoleSource | None:
    """Return where roles come from, None if the document does not say."""
    identity = table(document, ("identity",), ("role_from",))
    if "role_from" not in identity:
        return None
    return _choice(RoleSource)(document, ("identity", "role_from"), identity["role_from"])


def read_profile(document: Document, name: str) -> LimitSet:
    """Return the limits that a table of [profiles] names."""
    path = ("profiles", name)
    changes: dict[str, Any] = {}
    for key, value in table(document, path, LIMITS).items():
        for where, part in _parts((*path, key), value):
            try:
                # What they may be is theirs to say; each by itself, so that the line is the right one.
                Limits(**limit_changes({key: part}))
            except InvalidArgument as error:
                raise document.error(where, error.message, error.hint) from None
        changes |= limit_changes({key: value})
    return LimitSet(name, MappingProxyType(changes))


def _parts(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield a limit, after all that it consists of: the entries of a list of disks, and what those say."""
    for at, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, Mapping) and "device" in entry:
            device = {"device": entry["device"]}
            yield (*path, at, "device"), [device]
            yield from (((*path, at, name), [{**device, name: entry[name]}]) for name in entry)
        yield (*path, at), [entry]
    yield path, value


def read_rules(document: Document, path: Path, subject: str) -> Rules:
    """Return what a table of [roles] or [users] says."""
    content = table(document, path, ("verbs", *KEYS))
    settings = {
        name: Setting(_READERS[name](document, (*path, name), content[name]), subject, document.place((*path, name)))
        for name in KEYS
        if name in content
    }
    verbs = _verbs(document, (*path, "verbs"), content["verbs"], subject) if "verbs" in content else {}
    return Rules(subject, document.place(path), MappingProxyType(verbs), **settings)


def _verbs(document: Document, path: Path, value: Any, subject: str) -> dict[Verb, Setting[Reach]]:
    if isinstance(value, str):
        # One word for all of them.
        reach = _reach(document, path, value)
        return {verb: Setting(reach, subject, document.place(path)) for verb in Verb}
    if not isinstance(value, Mapping):
        raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not a table, nor one word for all verbs")
    _check_known(document, path, value, tuple(_VERBS), "verb")
    return {
        _VERBS[name]: Setting(_reach(document, (*path, name), word), subject, document.place((*path, name)))
        for name, word in value.items()
    }


def _reach(document: Document, path: Path, value: Any) -> Reach:
    if not isinstance(value, str) or value not in _REACHES:
        raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not {_or(_REACHES)}")
    return _REACHES[value]


def _flag(document: Document, path: Path, value: Any) -> bool:
    if not isinstance(value, bool):
        raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not true or false")
    return value


def _count(document: Document, path: Path, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not a whole number from 0 to {_MOST}")
    return value


def _choice(kind: type[E]) -> Callable[[Document, Path, Any], E]:
    known = {str(one.value): one for one in kind}

    def read(document: Document, path: Path, value: Any) -> E:
        if not isinstance(value, str) or value not in known:
            raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not {_or(known)}")
        return known[value]

    return read


def _list(read: Callable[[Document, Path, Any], T]) -> Callable[[Document, Path, Any], tuple[T, ...]]:
    def read_all(document: Document, path: Path, value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not a list")
        return tuple(read(document, (*path, at), one) for at, one in enumerate(value))

    return read_all


def _set(read: Callable[[Document, Path, Any], T]) -> Callable[[Document, Path, Any], frozenset[T]]:
    return lambda document, path, value: frozenset(_list(read)(document, path, value))


def _command(document: Document, path: Path, value: Any) -> Command:
    if isinstance(value, str):
        return _made(document, path, Command, value)
    if not isinstance(value, Mapping):
        raise document.error(path, f"{_dotted(path)} is {_shown(value)}, not a path, nor a table with path and args")
    _check_known(document, path, value, ("path", "args"), "key")
    if "path" not in value:
        raise document.error(path, f"{_dotted(path)} has no path")
    program = text(document, (*path, "path"), value["path"])
    args = _list(text)(document, (*path, "args"), value["args"]) if "args" in value else None
    return _made(document, path, Command, program, args)


def _bind(document: Document, path: Path, value: Any) -> Any:
    return _made(document, path, parse_bind, text(document, path, value))


def _env(document: Document, path: Path, value: Any) -> EnvNames:
    names = _list(text)(document, path, value)
    for at, name in enumerate(names):
        _made(document, (*path, at), EnvNames, (name,))
    return EnvNames(names)


def _made(document: Document, path: Path, make: Callable[..., T], *args: Any) -> T:
    try:
        return make(*args)
    except InvalidArgument as error:
        raise document.error(path, error.message, error.hint) from None
    except ValueError as error:
        raise document.error(path, f"{_dotted(path)}: {error}") from None


def _check_known(document: Document, path: Path, content: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in content:
        if name not in known:
            where = f" in {_dotted(path)}" if path else ""
            raise document.error((*path, name), f"unknown {what} {name!r}{where}", f"known are {', '.join(known)}")


def _dotted(path: Path) -> str:
    """Return a path as people write it: roles.user.commands[0]."""
    shown = ""
    for part in path:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def _or(words: Iterable[str]) -> str:
    *most, last = (repr(word) for word in words)
    return f"{', '.join(most)} or {last}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= 64 else f"{shown[:61]}..."


_READERS: Mapping[str, _Read] = MappingProxyType(
    {
        "profile": text,
        "own_limits": _flag,
        "ceiling": text,
        "commands": _list(_command),
        "isolation": _set(_choice(Mode)),
        "network": _set(_choice(Network)),
        "binds": _list(_bind),
        "env": _env,
        "max_jobs": _count,
        "max_streams": _count,
    }
)
