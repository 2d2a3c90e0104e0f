"""Say whether a policy allows something, and by which rule, in which line.

Nothing is started. A start is judged as the server would do it: its command is looked for on this
host, so run it as the server's user. The exit code is 0 if it is allowed, 1 if not.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jsched.commandline import Parser, UsageError

if TYPE_CHECKING:
    from jsched.config import Config
    from jsched.job import JobSpec
    from jsched.policy.access import Access
    from jsched.policy.verbs import Verb

EXAMPLES = """
jsched policy check --user alice --role user -- start /bin/ls -l
jsched policy check --user alice --role user --policy owner -- stop bob
jsched policy check --user alice --role user --policy ./policy.toml --isolation none -- start make
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `policy check`."""
    parser.add_argument("--user", metavar="NAME", required=True, help="the caller: the certificate's common name")
    parser.add_argument("--role", metavar="ROLE", required=True, help="the caller's role")
    parser.add_argument("--policy", metavar="FILE|PRESET", help="the policy; without it, that of the configuration")
    parser.add_argument("--config", metavar="FILE", help="the server's TOML file (JSCHED_SERVER_CONFIG)")
    parser.add_argument("--isolation", choices=("none", "host", "rootfs"), help="of a start: the mode it asks for")
    parser.add_argument("--network", choices=("none", "host"), help="of a start: the network it asks for")
    parser.add_argument("--env", metavar="NAME", action="append", default=[], help="of a start: a variable it sets")
    parser.add_argument("--workdir", metavar="DIR", help="of a start: where it begins")
    parser.add_argument("--memory", metavar="SIZE", help="of a start: the memory it asks for")
    parser.add_argument("--cpus", metavar="N", type=float, help="of a start: the CPUs it asks for")
    parser.add_argument("--pids", metavar="N", type=int, help="of a start: the processes it asks for")
    parser.add_command("words", "VERB [OWNER | COMMAND [ARG...]]")


def run(args: argparse.Namespace) -> int:
    """Print the decision.

    Raises InvalidArgument for a user or role that no certificate is let in with, and for a policy or a
    configuration that is wrong.
    """
    from jsched import config_sources
    from jsched.certificates.names import check_role, check_user
    from jsched.errors import PermissionDenied
    from jsched.policy.access import authorize
    from jsched.policy.grant import Refused
    from jsched.policy.load import load
    from jsched.policy.verbs import Verb

    check_user(args.user)
    check_role(args.role)
    config = config_sources.load({}, config_file=args.config)
    policy = load(args.policy or config.policy)
    verb, rest = _verb(args.words)
    try:
        access = authorize(policy, args.user, args.role, verb)
        lines = _start(access, args, rest, config) if verb is Verb.START else _other(access, rest)
    except Refused as error:
        print(f"refused by {error.place}: {error.rule}")
        print(f"the caller is told: {error}")
        return 1
    except PermissionDenied as error:
        print("refused by [isolation] of the server's configuration")
        print(f"the caller is told: {error}")
        return 1
    print("\n".join(lines))
    return 0 if lines[0].startswith("allowed") else 1


def _verb(words: Sequence[str]) -> tuple[Verb, list[str]]:
    """Return the verb that the words begin with, and the others."""
    from jsched.policy.verbs import Verb

    for verb in Verb:
        length = len(verb.value.split())
        if list(words[:length]) == verb.value.split():
            return verb, list(words[length:])
        if words[0] == verb.key:
            return verb, list(words[1:])
    raise UsageError(f'"{words[0]}" is no verb: {", ".join(verb.value for verb in Verb)}')


def _start(access: Access, args: argparse.Namespace, command: list[str], config: Config) -> list[str]:
    """Return what is to be said of a start that is allowed.

    Raises Refused for one that the policy does not allow, PermissionDenied for one that the configuration does not.
    """
    from jsched.allowance import Allowance
    from jsched.environment import DEFAULT_PATH, home_directory
    from jsched.policy.limit_sets import in_words
    from jsched.policy.starts import Defaults, admit

    spec = _spec(args, command)
    defaults = Defaults(config.limits.default, config.isolation, DEFAULT_PATH, home_directory())
    admission = admit(access.grant, access.user, spec, defaults)
    Allowance(config.isolation, admission.terms.rules).choose(admission.spec.confinement)
    lines = [f"allowed by {admission.place}: {admission.rule}"]
    if admission.spec.argv != spec.argv:
        lines.append(f"what is executed: {shlex.join(admission.spec.argv)}")
    if admission.terms.profile is not None:
        lines.append(f"limits, where none are asked for: {in_words(admission.terms.profile)}")
    if admission.terms.max_jobs is not None:
        lines.append(f"jobs at once: {admission.terms.max_jobs}")
    return lines


def _spec(args: argparse.Namespace, command: list[str]) -> JobSpec:
    from jsched.confinement import Confinement, Mode, Network
    from jsched.job import JobSpec
    from jsched.limits import Limits, parse_size

    if not command:
        raise UsageError("missing argument: COMMAND, after start")
    return JobSpec(
        command,
        env=dict.fromkeys(args.env, ""),
        workdir=args.workdir,
        limits=Limits(
            cpus=args.cpus, memory=None if args.memory is None else parse_size(args.memory, "memory"), pids=args.pids
        ),
        confinement=Confinement(
            mode=args.isolation and Mode(args.isolation),
            network=args.network and Network(args.network),
            # Which one does not matter to a policy.
            rootfs="any" if args.isolation == "rootfs" else None,
        ),
    )


def _other(access: Access, rest: list[str]) -> list[str]:
    """Return what is to be said of any other verb, on what belongs to the caller or to the one that is named."""
    from jsched.policy.grant import OWNED

    if len(rest) > 1 or (rest and access.verb not in OWNED):
        raise UsageError(f'unexpected argument "{rest[-1]}"')
    owner = rest[0] if rest else access.user
    decision = access.decision
    if access.visible_to in (None, owner):
        access.check(owner, f"a job of {owner}")
        return [f"allowed by {decision.place}: {decision.rule}"]
    return [
        f"refused by {decision.place}: {decision.rule}",
        f"the caller is told: there is nothing of {owner}'s, as far as {access.user} can see",
    ]
