"""Whether a job may be started as it is asked for, and on which terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jsched.confinement import Confinement, Mode, Network
from jsched.isolation_config import IsolationConfig
from jsched.job import JobSpec
from jsched.limits import Limits
from jsched.policy.commands import Command, find_program
from jsched.policy.document import Place
from jsched.policy.grant import Grant, Refused
from jsched.policy.limit_sets import capped, excess, names_of
from jsched.policy.rules import Setting
from jsched.policy.verbs import Reach, Verb
from jsched.terms import Terms

_ASK = "ask your administrator, who has the server's policy"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the server's configuration says of jobs, whoever starts them.

    `search_path` and `home` are what a job's environment has, `home` also where a job without
    walls begins, and `walled_home` where one with them does.
    """

    limits: Limits
    isolation: IsolationConfig
    search_path: str
    home: str
    walled_home: str = "/tmp"  # noqa: S108


@dataclass(frozen=True, slots=True)
class Admission:
    """A start that is allowed: what is really started, on which terms, and the rule that says so."""

    spec: JobSpec
    terms: Terms
    rule: str
    place: Place


def looks_at_files(grant: Grant) -> bool:
    """Return whether `admit` looks at files, and so belongs on a thread."""
    return grant.commands is not None


def admit(grant: Grant, user: str, spec: JobSpec, defaults: Defaults) -> Admission:
    """Return a start as it is allowed for a caller whose verb start is; raises Refused for what it may not ask for.

    With a list of commands the job that is returned starts what was checked, by its real path. What
    is in no list is refused the same way whether there is such a program or not.
    """
    mode = _mode(spec.confinement, defaults.isolation)
    _check_limits(grant, spec.limits)
    _check_env(grant, spec)
    _check_walls(grant, spec.confinement, mode, defaults.isolation)
    terms = Terms(
        profile=_profile(grant, defaults.limits),
        rules=_rules(grant, defaults.isolation),
        max_jobs=grant.max_jobs,
        rootfs_of=user if grant.decisions[Verb.ROOTFS_LIST].reach is Reach.OWN else None,
    )
    commands = grant.rules.commands
    if commands is None:
        decision = grant.decisions[Verb.START]
        return Admission(spec, terms, decision.rule, decision.place)
    workdir = spec.workdir or (defaults.home if mode is Mode.NONE else defaults.walled_home)
    program, rule = _check_command(grant, commands, spec, defaults.search_path, workdir)
    return Admission(replace(spec, argv=(program, *spec.argv[1:])), terms, rule, commands.place)


def _check_command(
    grant: Grant, commands: Setting[tuple[Command, ...]], spec: JobSpec, search_path: str, workdir: str
) -> tuple[str, str]:
    """Return the real path of a program that is in the list, and the rule that allows it."""
    name, args, subject = spec.argv[0], spec.argv[1:], commands.subject
    program = find_program(name, spec.env.get("PATH", search_path), workdir)
    if program is None:
        rule = f"{subject} has commands, and there is no program {name!r}"
    else:
        for command in commands.value:
            if command.allows(program, args):
                return program, f"{subject} has command {command}: {program}"
        rule = f"{subject} has no command {program} with these arguments"
    raise Refused(
        f"{grant.subject} may not start {name!r}, or not with these arguments",
        rule,
        commands.place,
        obj=name,
        hint=f"commands are matched by their real path; {_ASK}",
    )


def _mode(asked: Confinement, rules: IsolationConfig) -> Mode:
    """Return the mode that a job gets; the configuration always has one for who asks for none."""
    return asked.mode or (Mode.ROOTFS if asked.rootfs else rules.default or Mode.HOST)


def _check_limits(grant: Grant, asked: Limits) -> None:
    names = names_of(asked)
    if names and not grant.own_limits:
        raise Refused(
            f"{grant.subject} may not ask for limits: {', '.join(names)}",
            f"{grant.rules.subject} has no own limits",
            _place(grant, grant.rules.own_limits or grant.rules.profile),
            obj=names[0],
            hint="leave them out: the job gets those that the server's administrator has chosen",
        )
    if grant.ceiling is not None and (name := excess(asked, grant.ceiling.bounds)):
        raise Refused(
            f"{grant.subject} may not ask for so much: {name}",
            f"{grant.rules.subject} has ceiling {grant.ceiling.name}, and {name} is above it",
            _place(grant, grant.rules.ceiling),
            obj=name,
            hint="ask for less, or leave it out",
        )


def _check_env(grant: Grant, spec: JobSpec) -> None:
    name = grant.env.refused(spec.env) if grant.env is not None else None
    if name is not None:
        raise Refused(
            f"{grant.subject} may not set environment variable {name}",
            f"{grant.rules.subject} has no env {name}",
            _place(grant, grant.rules.env or grant.rules.commands),
            obj="env",
            hint="leave it out",
        )


def _check_walls(grant: Grant, asked: Confinement, mode: Mode, rules: IsolationConfig) -> None:
    network = Network.HOST if mode is Mode.NONE else asked.network or rules.network or Network.NONE
    modes = grant.modes
    if modes is not None and mode not in modes:
        allowed = [one.value for one in Mode if one in modes]
        raise _refused(grant, grant.rules.isolation, f"isolation {mode.value}", "isolation", allowed)
    if grant.rules.network is not None and network not in grant.rules.network.value:
        networks = grant.rules.network.value
        what = f"network {network.value}, which isolation none has" if mode is Mode.NONE else f"network {network.value}"
        allowed = [one.value for one in Network if one in networks]
        raise _refused(grant, grant.rules.network, what, "network", allowed)
    if mode is Mode.ROOTFS and grant.decisions[Verb.ROOTFS_LIST].reach is Reach.NONE:
        seen = grant.rules.verbs.get(Verb.ROOTFS_LIST)
        raise _refused(grant, seen, "isolation rootfs: it sees no root file systems", "rootfs")
    if grant.commands is not None:
        # Either could bring another file to the place of one that was checked.
        if mode is Mode.ROOTFS:
            raise _refused(grant, grant.rules.commands, "isolation rootfs: it has a list of commands", "isolation")
        if asked.binds:
            raise _refused(grant, grant.rules.commands, "binds: it has a list of commands", "binds")


def _refused(grant: Grant, setting: Setting[Any] | None, what: str, obj: str, allowed: Sequence[str] = ()) -> Refused:
    hint = f"allowed: {', '.join(allowed)}" if allowed else _ASK
    rule = f"{grant.rules.subject} has no {what}"
    return Refused(f"{grant.subject} may not have {what}", rule, _place(grant, setting), obj=obj, hint=hint)


def _place(grant: Grant, setting: Setting[Any] | None) -> Place:
    return grant.rules.place if setting is None else setting.place


def _profile(grant: Grant, defaults: Limits) -> Limits | None:
    """Return the limits of a job that asks for none, None for the server's own."""
    if grant.profile is None and grant.ceiling is None:
        return None
    limits = defaults if grant.profile is None else grant.profile.over(defaults)
    return limits if grant.ceiling is None else capped(limits, grant.ceiling.bounds)


def _rules(grant: Grant, rules: IsolationConfig) -> IsolationConfig | None:
    """Return what of the configuration's rules is granted, None for all of it."""
    modes, networks, binds = grant.rules.isolation, grant.rules.network, grant.rules.binds
    if modes is None and networks is None and binds is None:
        return None
    narrowed = rules.narrowed(
        modes=None if modes is None else modes.value,
        networks=None if networks is None else networks.value,
        binds=None if binds is None else binds.value,
    )
    if networks is not None and Network.HOST not in networks.value:
        # Without walls a job has the host's network: who may not have that does not go without them.
        return replace(narrowed, required=True)
    return narrowed
