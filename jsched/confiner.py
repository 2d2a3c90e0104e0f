"""From what is asked of a job's walls to the sandbox that is built for it."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jsched.allowance import Allowance
from jsched.config import Config
from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls, account_number
from jsched.environment import home_directory
from jsched.errors import FailedPrecondition, InvalidArgument, JschedError, PermissionDenied
from jsched.isolation import ids, plan, sandbox, seccomp, view
from jsched.isolation.accounts import regular_homes
from jsched.isolation.homes import HOMES, homes_to_cover
from jsched.isolation.ids import Ids
from jsched.isolation.places import RESERVED
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.trial import try_walls_apart
from jsched.isolation_config import IsolationConfig

_LOG = logging.getLogger(__name__)
_USER_NAMESPACE = "user-namespace"

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
    """The walls that this machine can build for this user, tried once, and the homes that they hide.

    Making it blocks, for some tenths of a second where nothing is slow.
    A machine that refuses to build them refuses the jobs that need them. Raises Unavailable if it has given
    no answer, and FailedPrecondition if the filter of system calls can't be kept.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rules = config.isolation
        self._private = config.private
        self._homes: tuple[Path, ...] = HOMES
        self._lacking = ""
        self._ids: _IdsOf | None = None
        self._whom = ""
        self._filter = ""
        self._host_views: dict[str, Sandbox] = {}
        if self._rules.modes != {Mode.NONE}:
            self._prepare()

    def plan(
        self,
        asked: Confinement,
        tree: Path | None = None,
        digest: str = "",
        *,
        granted: IsolationConfig | None = None,
    ) -> Confined:
        """Return the walls for what is asked; `tree` is the root file system that it names.

        Raises PermissionDenied for what the configuration, or what is `granted`, does not allow,
        InvalidArgument for what the walls that the job gets don't have, FailedPrecondition if this
        machine can't build walls and they are required, or can't have the user, group or bind.
        """
        allowance = Allowance(self._rules, granted)
        mode, network = allowance.choose(asked)
        if mode is Mode.NONE:
            # What can't be asked of it can't be had where it is the default, either.
            replace(asked, mode=mode)
            return Confined(Walls(Mode.NONE, Network.HOST))
        binds = tuple(self._allowed_bind(allowance, bind) for bind in asked.binds)
        if self._ids is None:
            return self._without_walls(mode, asked, allowance.required)
        build = self._build(mode, network, binds, allowance.scratch, tree, self._ids_of(asked, self._ids))
        walls = build(0)
        own_users = (_USER_NAMESPACE,) if walls.has_user_namespace else ()
        steps = own_users + tuple(name for name, _ in plan.describe(walls))
        return Confined(Walls(mode, network, digest, steps), build, home="/tmp", workdir="/tmp")  # noqa: S108

    def _prepare(self) -> None:
        try:
            self._filter = str(seccomp.store_program(self._config.data_dir, seccomp.compile_profile()))
        except JschedError as error:
            self._lack(str(error))
            return
        except OSError as error:
            # A full disk is no refusal: it is no reason to go without walls.
            raise FailedPrecondition(
                f"the filter of system calls can't be written: {error.strerror}",
                obj="data_dir",
                hint=f"make room in {self._config.data_dir}, or let the server's user write there",
            ) from error
        self._homes = homes_to_cover(home_directory(), regular_homes())
        refused = ""
        for name, of in self._choices():
            try:
                whose = of(_TRIAL_SLOT, ids.USER, ids.USER)
                walls = view.sandbox_of_host(whose, self._private, homes=self._homes)
            except ValueError as error:
                self._lack(str(error))
                return
            failure = try_walls_apart(walls)
            if failure is None:
                self._ids, self._whom = of, name
                if refused:
                    _LOG.warning("the kernel refuses stronger walls: %s", refused)
                _LOG.info("jobs are walled in: %s", name)
                return
            refused = f"{failure[0]}: {os.strerror(failure[1])}"
        self._lack(refused)

    def _choices(self) -> tuple[tuple[str, _IdsOf], ...]:
        if os.geteuid() != 0:
            return (("all of them run as this user", lambda slot, uid, gid: ids.of_this_user()),)
        return (
            ("each has a range of ids", lambda slot, uid, gid: ids.in_range(slot, uid=uid, gid=gid)),
            (
                "each is a user of the host that owns nothing, for want of user namespaces",
                lambda slot, uid, gid: ids.without_user_namespace(slot),
            ),
        )

    def _lack(self, reason: str) -> None:
        self._lacking = reason
        _LOG.warning("jobs can't be walled in: %s", reason)

    def _allowed_bind(self, allowance: Allowance, bind: Bind) -> sandbox.Bind:
        """Return what is mounted: the place that was judged, however its links are changed afterwards."""
        _refuse_reserved(bind)
        try:
            # What it really is: a link in a directory that jobs may write to leads wherever they like.
            real = Path(os.path.realpath(bind.source))
            allowance.check_bind(bind, real)
            private = [Path(os.path.realpath(own)) for own in self._private]
        except RecursionError:
            # A chain of links far longer than Linux follows.
            raise _unreadable(bind, errno.ELOOP) from None
        except OSError as error:
            # os.path.realpath() raises nothing for what does not change while it looks.
            raise _unreadable(bind, error.errno or errno.EIO) from None
        if any(real.is_relative_to(own) or own.is_relative_to(real) for own in private):
            raise PermissionDenied(
                f"bind {bind.source} would show the server's own files",
                obj="binds",
                hint="it lies in a directory of the server's, or has one in it: bind another directory",
            )
        if not os.path.lexists(real):
            raise _unreadable(bind, errno.ENOENT)
        return sandbox.Bind(str(real), bind.place, bind.writable)

    def _ids_of(self, asked: Confinement, of: _IdsOf) -> Callable[[int], Ids]:
        """Return whom the job is, by slot; raises FailedPrecondition if that is not who it asks to be."""
        uid, gid = _number(asked.user, "user"), _number(asked.group or asked.user, "group")
        first = of(0, uid, gid)
        for what, wanted, number, got in (
            ("user", asked.user, uid, first.uid),
            ("group", asked.group, gid, first.gid),
        ):
            if wanted is not None and number != got:
                raise FailedPrecondition(
                    f"{what} {wanted} is not possible on this host", obj=what, hint=f"of its jobs, {self._whom}"
                )
        return lambda slot: of(slot, uid, gid)

    def _without_walls(self, mode: Mode, asked: Confinement, required: bool) -> Confined:
        # Who has asked for a wall does not go without it, whatever the configuration says of the rest.
        if required or asked != NOTHING_ASKED:
            raise FailedPrecondition(
                f"isolation {mode.value} is not possible on this host: {self._lacking}",
                obj="isolation",
                hint="`jsched doctor` says what is missing; an administrator of the host has to look at it",
            )
        return Confined(Walls(Mode.NONE, Network.HOST))

    def _build(
        self,
        mode: Mode,
        network: Network,
        binds: tuple[sandbox.Bind, ...],
        scratch: int,
        tree: Path | None,
        ids_of: Callable[[int], Ids],
    ) -> Callable[[int], Sandbox]:
        net = sandbox.HOST if network is Network.HOST else sandbox.NONE
        first = ids_of(0)
        if mode is Mode.ROOTFS:
            if tree is None:
                raise FailedPrecondition("there is no root file system", obj="rootfs")
            base = view.sandbox_of_tree(first, tree, network=net, seccomp=self._filter)
        else:
            base = self._of_host(net)._replace(**first._asdict())
        base = base._replace(
            scratch_size=scratch,
            binds=(*base.binds, *sorted(binds, key=lambda one: one.target)),
            capabilities=view.ROOT_CAPABILITIES if first.uid == 0 and first.uid_map else 0,
        )
        return lambda slot: base._replace(**ids_of(slot)._asdict())

    def _of_host(self, network: str) -> Sandbox:
        """Return the walls of the host mode; worked out once, but for what jobs need to find names."""
        known = self._host_views.get(network)
        if known is None:
            whose = ids.in_range(_TRIAL_SLOT)
            known = view.sandbox_of_host(whose, self._private, homes=self._homes, network=network, seccomp=self._filter)
            self._host_views[network] = known
        return known if network == sandbox.NONE else known._replace(binds=view.resolver_binds(network))


def _refuse_reserved(bind: Bind) -> None:
    for reserved in RESERVED:
        if bind.place == reserved or bind.place.startswith(f"{reserved}/"):
            raise InvalidArgument(
                f"bind {bind.source}:{bind.target} would cover what a job has at {reserved}",
                obj="binds",
                hint=f"name a target outside of {', '.join(RESERVED)}",
            )


def _unreadable(bind: Bind, number: int) -> FailedPrecondition:
    return FailedPrecondition(
        f"bind {bind.source}: {os.strerror(number)}",
        obj="binds",
        hint="look what is there on the server's host, and that nobody changes it while the job starts",
    )


def _number(account: str | None, what: str) -> int:
    """Return the number inside of a user or group that is allowed: root, or a number."""
    if account is None:
        return ids.USER
    try:
        return account_number(account, what)
    except InvalidArgument as error:
        raise FailedPrecondition(error.message, obj=what, hint=error.hint) from None
