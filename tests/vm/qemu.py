"""qemu with Debian's own kernel, emulated in software: everything that the kernel has, slowly.

It boots in about four seconds. The options are in qemu(1).
"""

from __future__ import annotations

import platform

from tests.vm.backend import MKFS, Backend, Boot, find


def _missing() -> str:
    if platform.machine() != "x86_64":
        return f"a guest for {platform.machine()}"
    programs = ("qemu-system-x86_64", "setpriv", MKFS)
    return next((program for program in programs if find(program) is None), "")


def _command(boot: Boot) -> list[str]:
    return [
        *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-machine", "q35"),
        *("-smp", str(boot.cpus), "-m", str(boot.memory)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(boot.image.kernel), "-initrd", str(boot.initramfs)),
        # norandmaps: the same code at the same addresses can be translated once.
        *("-append", f"console=ttyS0 panic=-1 norandmaps {boot.parameters}"),
        *("-chardev", "stdio,id=log,signal=off", "-serial", "chardev:log"),
        *("-serial", f"file:/proc/self/fd/{boot.status}"),
        *("-chardev", f"file,id=output,path=/proc/self/fd/{boot.output}"),
        *("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=output"),
        *("-drive", f"file={boot.disk},format=raw,if=none,id=disk,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-fsdev", "local,id=host,path=/,security_model=none,multidevs=remap,readonly=on"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
    ]


_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_console", "9p", "9pnet_virtio"),
    *("overlay", "crc32c_generic", "ext4", "loop", "veth"),
)

QEMU = Backend(
    name="qemu",
    package="linux-image-amd64",
    kernel="boot/vmlinuz-*",
    modules=_MODULES,
    output="hvc0",
    disk="vda",
    missing=_missing,
    command=_command,
)
