"""What may be asked of a job's walls: what the configuration allows, and of that what is granted to whoever asks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jsched.confinement import Bind, Confinement, Mode, Network
from jsched.errors import PermissionDenied
from jsched.isolation_config import AllowedBind, IsolationConfig


@dataclass(frozen=True, slots=True)
class Allowance:
    """The configuration's rules, and those of a grant, if there is one: what is allowed, both allow.

    So a grant is never wider than the configuration, whatever it says. What nobody asks for is as
    the grant says.
    """

    config: IsolationConfig
    grant: IsolationConfig | None = None

    @property
    def required(self) -> bool:
        """Whether a job is refused if a wall can't be built on this machine."""
        return any(rules.required for rules in self._all)

    @property
    def scratch(self) -> int:
        """How many bytes a job may keep in its writable directories."""
        return min(rules.scratch for rules in self._all)

    def choose(self, asked: Confinement) -> tuple[Mode, Network]:
        """Return the mode and the network of a job; raises PermissionDenied if they, user or group are not allowed."""
        rules = self.grant or self.config
        mode = asked.mode or (Mode.ROOTFS if asked.rootfs else rules.default)
        if mode is None:
            raise _nothing_by_default("isolation", sorted(one.value for one in rules.modes))
        network = asked.network or (Network.HOST if mode is Mode.NONE else rules.network)
        if network is None:
            raise _nothing_by_default("network", sorted(one.value for one in rules.networks))
        for one in self._all:
            self._check(one, mode, network, asked)
        return mode, network

    def check_bind(self, bind: Bind, real: Path) -> None:
        """Raise PermissionDenied unless a bind whose source really is `real` is allowed. Blocks."""
        writable = [Path(os.path.realpath(one.directory)) for one in self.config.binds if one.writable]
        for rules in self._all:
            places = [(place, one) for one in rules.binds if (place := _place(one, writable)) is not None]
            over = [(place, one) for place, one in places if real.is_relative_to(place)]
            # The one that lies deepest counts: a directory may be read-only in one that is not.
            _, deepest = max(over, key=lambda each: len(each[0].parts), default=(real, None))
            if deepest is None or (bind.writable and not deepest.writable):
                raise self._not_allowed(rules, f"bind {bind.source}", "binds", "binds")
            if bind.writable and any(place.is_relative_to(real) for place, one in places if not one.writable):
                hint = "a directory that is `:ro` lies in it: bind it read-only, or what lies beside that"
                message = f"bind {bind.source} would make writable what is read-only for jobs"
                raise PermissionDenied(message, obj="binds", hint=hint)

    @property
    def _all(self) -> tuple[IsolationConfig, ...]:
        # The configuration first: it holds for everybody.
        return (self.config,) if self.grant is None else (self.config, self.grant)

    def _check(self, rules: IsolationConfig, mode: Mode, network: Network, asked: Confinement) -> None:
        if mode not in rules.modes:
            among = (one.value for one in rules.modes)
            raise self._not_allowed(rules, f"isolation {mode.value}", "isolation", "modes", among)
        if mode is not Mode.NONE and network not in rules.networks:
            among = (one.value for one in rules.networks)
            raise self._not_allowed(rules, f"network {network.value}", "network", "networks", among)
        for name, value, allowed in (("user", asked.user, rules.users), ("group", asked.group, rules.groups)):
            if value is not None and value not in allowed:
                raise self._not_allowed(rules, f"{name} {value}", name, f"{name}s", allowed)

    def _not_allowed(
        self, rules: IsolationConfig, what: str, obj: str, key: str, among: Iterable[str] = ()
    ) -> PermissionDenied:
        if rules is self.config:
            hint = f"`{key}` in [isolation] of its configuration says what is"
            return PermissionDenied(f"{what} is not allowed on this server", obj=obj, hint=hint)
        allowed = ", ".join(sorted(among))
        hint = f"allowed to you: {allowed}" if allowed else f"`{key}` in the server's policy says what is"
        return PermissionDenied(f"{what} is not allowed to you", obj=obj, hint=hint)


def _place(allowed: AllowedBind, writable: Iterable[Path]) -> Path | None:
    """Return where an allowed directory really is, None if jobs may have put another in its place.

    In a directory that jobs write to they can replace a part of its path by a link to anywhere: then it counts
    only as long as it lies in that directory.
    """
    real = Path(os.path.realpath(allowed.directory))
    on_the_way = [Path(os.path.realpath(above)) for above in allowed.directory.parents]
    entered = (one for one in writable if any(above.is_relative_to(one) for above in on_the_way))
    return real if all(real.is_relative_to(one) for one in entered) else None


def _nothing_by_default(what: str, allowed: list[str]) -> PermissionDenied:
    hint = f"ask for one of: {', '.join(allowed)}" if allowed else "nothing of the kind is allowed to you"
    return PermissionDenied(f"no {what} was asked for, and the server's is not allowed to you", obj=what, hint=hint)
