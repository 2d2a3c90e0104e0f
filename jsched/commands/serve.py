"""`jsched serve`: the server."""

from __future__ import annotations

import argparse
from pathlib import Path

from jsched import config_sources
from jsched.errors import InvalidArgument

EXAMPLES = """\
  jsched serve --certs certs --data-dir .jsched --log-dir logs
  jsched serve --config /etc/jsched/jsched.toml --listen 0.0.0.0:50051"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `jsched serve`."""
    parser.add_argument("--config", metavar="FILE", help="TOML file with the settings (JSCHED_SERVER_CONFIG)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="address to serve on (JSCHED_LISTEN; 127.0.0.1:50051)")
    parser.add_argument(
        "--certs",
        metavar="DIR",
        dest="certs_dir",
        type=Path,
        help="server.crt, server.key, client-ca.crt (JSCHED_CERTS)",
    )
    parser.add_argument("--data-dir", metavar="DIR", type=Path, help="where the state is kept (JSCHED_DATA_DIR)")
    parser.add_argument("--log-dir", metavar="DIR", type=Path, help="where the jobs' logs are written (JSCHED_LOG_DIR)")
    parser.add_argument("--log-group", metavar="GROUP", help="group that may read the logs (JSCHED_LOG_GROUP)")
    parser.add_argument("--policy", metavar="FILE|PRESET", help="who may do what (JSCHED_POLICY; jsched)")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; return 0 after a drain."""
    names = ("listen", "certs_dir", "data_dir", "log_dir", "log_group", "policy")
    config = config_sources.load({name: getattr(args, name) for name in names}, config_file=args.config)
    if config.certs_dir is None:
        raise InvalidArgument("no certificates", obj="certs_dir", hint="give their directory with --certs")
    from jsched.server import handshakes, priority, tls

    # Before there are other threads: each has a nice value of its own, and begins with that of who started it.
    priority.come_before_jobs()
    # Before anything imports grpc: this decides which versions of TLS it will speak, and what it says.
    watched = handshakes.prepare()
    tls.prepare(config.certs_dir)
    from jsched.server import app

    app.run(config, config.certs_dir, watched)
    return 0
