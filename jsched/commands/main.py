"""The command `jsched`: what the administrator of a host runs.

Started by a person, a service manager or the Makefile.
It owns nothing by itself; `serve` becomes the server.
It ends when the verb has been done.
Of `dev up` the server outlives it, of every server its jobs.
"""

from __future__ import annotations

from jsched.commandline import Program, Verb

VERBS = (
    Verb("serve", "jsched.commands.serve", "run the server"),
    Verb("certs dev", "jsched.commands.certs.dev", "make certificates for development"),
    Verb("certs init", "jsched.commands.certs.init", "make a new set of certificates, with CAs of its own"),
    Verb("certs server", "jsched.commands.certs.server", "issue a server's certificate"),
    Verb("certs client", "jsched.commands.certs.client", "issue a client's certificate"),
    Verb("certs renew", "jsched.commands.certs.renew", "issue one again, or let a new CA take over"),
    Verb("certs revoke", "jsched.commands.certs.revoke", "let a certificate in no more"),
    Verb("certs list", "jsched.commands.certs.list", "list what was issued, and whether it is good"),
    Verb("certs show", "jsched.commands.certs.show", "show all that matters of certificates, keys and lists"),
    Verb("policy check", "jsched.commands.policy.check", "say whether a policy allows something, and by which rule"),
    Verb("policy show", "jsched.commands.policy.show", "print what a policy says"),
    Verb("doctor", "jsched.commands.doctor", "say whether this host can run jobs as configured"),
    Verb("delegate", "jsched.commands.delegate", "execute the server as another user, in a cgroup of that user's"),
    Verb("audit verify", "jsched.commands.audit.verify", "say whether the audit trail is as it was written"),
    Verb("dev up", "jsched.commands.dev.up", "start a server for development in this directory"),
    Verb("dev demo", "jsched.commands.dev.demo", "run a first job on it and show what to type next"),
    Verb("dev down", "jsched.commands.dev.down", "stop it; its jobs run on"),
    Verb("dev clean", "jsched.commands.dev.clean", "stop it and its jobs, and remove what was made here"),
)

PROGRAM = Program("jsched", "Run commands on this host for people who are not logged in to it.", VERBS)


def main() -> int:
    """Run `jsched` with the process's arguments and return its exit code."""
    return PROGRAM.run()


if __name__ == "__main__":
    raise SystemExit(main())
