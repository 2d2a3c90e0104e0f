"""From what is asked of a job's walls to the sandbox that is built for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jsched.config import Config
from jsched.confinement import Bind, Confinement, Mode, Network, Walls
from jsched.errors import FailedPrecondition, JschedError, PermissionDenied
from jsched.isolation import ids, plan, sandbox, seccomp, view
from jsched.isolation.ids import Ids
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.trial import try_walls_apart

_LOG = logging.getLogger(__name__)
_ROOT = "root"
_RANGES = "each has a range of ids"
_TRIAL_SLOT = ids.SLOTS - 1
# By slot, and user and group inside: whom the job is on the host.
_IdsOf = Callable[[int, int, int], Ids]


@dataclass(frozen=True, slots=True)
class Confined:
    """What a job is walled in with; `sandbox` is asked with the slot of its id range, None if there are no walls.

    `sandboxed` says whether there are any, `home` and `workdir` where the job begins if it was not told otherwise.
    """

    walls: Walls
    sandbox: Callable[[int], Sandbox] | None = None
    home: str = ""
    workdir: str = ""


class Confiner:
    """The walls that this machine can build for this user, tried once; making it blocks for some tenths of a second.

    Raises nothing: a machine that can build none refuses the jobs that need them.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rules = config.isolation
        self._private = [path for path in (config.data_dir, config.log_dir, config.certs_dir) if path is not None]
        self._lacking = ""
        self._ids: _IdsOf | None = None
        self._has_ranges = False
        self._filter = ""
        if self._rules.modes != {Mode.NONE}:
            self._prepare()

    def plan(self, asked: Confinement, tree: Path | None = None, digest: str = "") -> Confined:
        """Return the walls for what is asked; `tree` is the root file system that it names.

        Raises PermissionDenied for what the configuration does not allow, FailedPrecondition if
        this machine can't build walls and they are required.
        """
        mode = asked.mode or (Mode.ROOTFS if asked.rootfs else self._rules.default)
        network = asked.network or (Network.HOST if mode is Mode.NONE else self._rules.network)
        self._check(mode, network, asked)
        if mode is Mode.NONE:
            return Confined(Walls(Mode.NONE, Network.HOST))
        if self._ids is None:
            return self._without_walls(mode)
        if (asked.user or asked.group) and not self._has_ranges:
            raise FailedPrecondition(
                "whom a job runs as can't be chosen on this host: jobs have no range of user ids",
                obj="user" if asked.user else "group",
                hint="leave it out; `jsched doctor` says what is missing",
            )
        uid, gid = _number(asked.user, "user"), _number(asked.group or asked.user, "group")
        build = self._build(mode, network, asked, tree, uid, gid)
        steps = tuple(name for name, _ in plan.describe(build(0)))
        return Confined(Walls(mode, network, digest, steps), build, home="/tmp", workdir="/tmp")  # noqa: S108

    def _prepare(self) -> None:
        try:
            self._filter = str(seccomp.store_program(self._config.data_dir, seccomp.compile_profile()))
        except JschedError as error:
            self._lack(str(error))
            return
        except OSError as error:
            self._lack(f"the filter of system calls can't be written: {error.strerror}")
            return
        failure = None
        for name, of in self._choices():
            failure = try_walls_apart(view.sandbox_of_host(of(_TRIAL_SLOT, ids.USER, ids.USER), self._private))
            if failure is None:
                self._ids = of
                self._has_ranges = name == _RANGES
                _LOG.info("jobs are walled in: %s", name)
                return
        if failure is not None:
            self._lack(f"{failure[0]}: {os.strerror(failure[1])}")

    def _choices(self) -> tuple[tuple[str, _IdsOf], ...]:
        if os.geteuid() != 0:
            return (("all of them run as this user", lambda slot, uid, gid: ids.of_this_user()),)
        return (
            (_RANGES, lambda slot, uid, gid: ids.in_range(slot, uid=uid, gid=gid)),
            (
                "each is a user of the host that owns nothing, for want of user namespaces",
                lambda slot, uid, gid: ids.without_user_namespace(slot),
            ),
        )

    def _lack(self, reason: str) -> None:
        self._lacking = reason
        _LOG.warning("jobs can't be walled in: %s", reason)

    def _check(self, mode: Mode, network: Network, asked: Confinement) -> None:
        rules = self._rules
        if mode not in rules.modes:
            raise _not_allowed(f"isolation {mode.value}", "isolation", "modes")
        if mode is not Mode.NONE and network not in rules.networks:
            raise _not_allowed(f"network {network.value}", "network", "networks")
        for name, value, allowed in (("user", asked.user, rules.users), ("group", asked.group, rules.groups)):
            if value is not None and value not in allowed:
                raise _not_allowed(f"{name} {value}", name, f"{name}s")
        for bind in asked.binds:
            self._check_bind(bind)

    def _check_bind(self, bind: Bind) -> None:
        # What it really is: a link in a directory that jobs may write to leads wherever they like.
        real = Path(os.path.realpath(bind.source))
        for allowed in self._rules.binds:
            if real.is_relative_to(os.path.realpath(allowed.directory)) and (allowed.writable or not bind.writable):
                return
        raise _not_allowed(f"bind {bind.source}", "binds", "binds")

    def _without_walls(self, mode: Mode) -> Confined:
        if self._rules.required or mode is Mode.ROOTFS:
            raise FailedPrecondition(
                f"isolation {mode.value} is not possible on this host: {self._lacking}",
                obj="isolation",
                hint="`jsched doctor` says what is missing; an administrator of the host has to look at it",
            )
        return Confined(Walls(Mode.NONE, Network.HOST))

    def _build(
        self, mode: Mode, network: Network, asked: Confinement, tree: Path | None, uid: int, gid: int
    ) -> Callable[[int], Sandbox]:
        of = self._ids
        if of is None:
            raise FailedPrecondition("no walls can be built", obj="isolation")
        net = sandbox.HOST if network is Network.HOST else sandbox.NONE
        first = of(0, uid, gid)
        if mode is Mode.ROOTFS:
            if tree is None:
                raise FailedPrecondition("there is no root file system", obj="rootfs")
            base = view.sandbox_of_tree(first, tree, network=net, seccomp=self._filter)
        else:
            base = view.sandbox_of_host(first, self._private, network=net, seccomp=self._filter)
        binds = tuple(sandbox.Bind(os.path.realpath(one.source), one.target, one.writable) for one in asked.binds)
        base = base._replace(
            scratch_size=self._rules.scratch,
            binds=(*base.binds, *sorted(binds, key=lambda one: one.target)),
            capabilities=view.ROOT_CAPABILITIES if uid == 0 and first.uid_map else 0,
        )
        return lambda slot: base._replace(**of(slot, uid, gid)._asdict())


def _number(account: str | None, what: str) -> int:
    """Return the number inside of a user or group that is allowed: root, or a number."""
    if account is None:
        return ids.USER
    if account == _ROOT:
        return 0
    if not account.isdigit() or int(account) >= ids.RANGE_SIZE:
        raise FailedPrecondition(
            f"{what} {account!r} is neither root nor a number below {ids.RANGE_SIZE}",
            obj=what,
            hint="names mean nothing behind the walls",
        )
    return int(account)


def _not_allowed(what: str, obj: str, key: str) -> PermissionDenied:
    hint = f"`{key}` in [isolation] of its configuration says what is"
    return PermissionDenied(f"{what} is not allowed on this server", obj=obj, hint=hint)
