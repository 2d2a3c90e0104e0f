"""User-mode Linux: a kernel that is an ordinary process.

Native speed between system calls, which are about a hundred times slower. One CPU; neither PSI
nor cpuset. The kernel's parameters are in Documentation/admin-guide/kernel-parameters.txt and
Documentation/virt/uml/user_mode_linux_howto_v2.rst.
"""

from __future__ import annotations

import os
import platform
import subprocess

from tests.vm.backend import MKFS, Backend, Boot, find

# It sees the host's / through a mount namespace in which / is read-only. The shell has to stay:
# as process 1 the kernel would survive its own abort(). It needs a descriptor for each of the host's
# files that the guest has in mind.
_PREPARED = 'ulimit -n "$(ulimit -H -n)"; mount -o remount,bind,ro / && "$@"; exit $?'


def _unshare() -> list[str]:
    # A pid namespace, so that the kernel's helper processes end with it.
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--mount", "--pid", "--kill-child"]


def _missing() -> str:
    if platform.machine() != "x86_64":
        return f"user-mode Linux for {platform.machine()}"
    for program in ("unshare", "setpriv", MKFS):
        if find(program) is None:
            return program
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False, timeout=30)
    return f"a mount namespace ({tried.stderr.strip()})" if tried.returncode else ""


def _command(boot: Boot) -> list[str]:
    return [
        *_unshare(),
        "sh",
        "-c",
        _PREPARED,
        "sh",
        str(boot.image.kernel),
        f"mem={boot.memory}M",
        f"initrd={boot.initramfs}",
        f"ubd0={boot.disk}",
        "con=null",
        "con0=null,fd:1",
        "ssl=null",
        f"ssl0=null,fd:{boot.output}",
        f"ssl1=null,fd:{boot.status}",
        "panic=-1",
        # A benchmark that takes 0.9 s of each boot.
        "initcall_blacklist=raid6_select_algo",
        *boot.parameters.split(),
    ]


UML = Backend(
    name="uml",
    package="user-mode-linux",
    kernel="usr/bin/linux.uml",
    modules=("overlay", "loop", "veth"),
    output="ttyS0",
    disk="ubda",
    missing=_missing,
    command=_command,
)
