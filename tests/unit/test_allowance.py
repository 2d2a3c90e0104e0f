"""What may be asked of a job's walls: the configuration's rules, and those of a grant within them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jsched.allowance import Allowance
from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network
from jsched.errors import PermissionDenied
from jsched.isolation_config import AllowedBind, IsolationConfig

WIDE = IsolationConfig(
    modes=frozenset(Mode), networks=frozenset(Network), users=frozenset({"root", "5"}), groups=frozenset({"5"})
)


def refused(allowance: Allowance, asked: Confinement) -> tuple[str, str, str]:
    """Return object, message and hint of a refusal."""
    with pytest.raises(PermissionDenied) as raised:
        allowance.choose(asked)
    return raised.value.obj, raised.value.message, raised.value.hint


def test_without_a_grant() -> None:
    """The configuration alone decides, and is named by a refusal."""
    assert Allowance(WIDE).choose(NOTHING_ASKED) == (Mode.HOST, Network.NONE)
    assert Allowance(WIDE).choose(Confinement(mode=Mode.NONE)) == (Mode.NONE, Network.HOST)
    assert refused(Allowance(IsolationConfig()), Confinement(network=Network.HOST)) == (
        "network",
        "network host is not allowed on this server",
        "`networks` in [isolation] of its configuration says what is",
    )


def test_a_grant_narrows() -> None:
    """What the grant leaves out is refused, and the refusal says what is allowed."""
    granted = WIDE.narrowed(modes=[Mode.HOST], networks=[Network.NONE], users=["5"], groups=[])
    allowance = Allowance(WIDE, granted)
    assert allowance.choose(Confinement(user="5")) == (Mode.HOST, Network.NONE)
    assert refused(allowance, Confinement(mode=Mode.NONE)) == (
        "isolation",
        "isolation none is not allowed to you",
        "allowed to you: host",
    )
    assert refused(allowance, Confinement(network=Network.HOST))[1:] == (
        "network host is not allowed to you",
        "allowed to you: none",
    )
    assert refused(allowance, Confinement(user="root")) == (
        "user",
        "user root is not allowed to you",
        "allowed to you: 5",
    )
    assert refused(allowance, Confinement(group="5"))[2] == "`groups` in the server's policy says what is"


def test_a_grant_is_never_wider_than_the_configuration(tmp_path: Path) -> None:
    """Whatever a grant says, what the configuration does not allow is refused."""
    wide = IsolationConfig(
        default=Mode.NONE,
        network=Network.HOST,
        users=frozenset({"root"}),
        binds=(AllowedBind(tmp_path, writable=True),),
        scratch=1 << 40,
        required=False,
    )
    allowance = Allowance(IsolationConfig(), wide)
    for asked in (NOTHING_ASKED, Confinement(mode=Mode.NONE), Confinement(mode=Mode.HOST, network=Network.HOST)):
        assert "is not allowed on this server" in refused(allowance, asked)[1]
    asked = Confinement(mode=Mode.HOST, network=Network.NONE, user="root")
    assert refused(allowance, asked)[1] == "user root is not allowed on this server"
    with pytest.raises(PermissionDenied, match="not allowed on this server"):
        allowance.check_bind(Bind(str(tmp_path), "/mnt"), tmp_path)
    assert (allowance.scratch, allowance.required) == (IsolationConfig().scratch, True)


def test_who_asks_for_nothing_where_the_default_is_not_granted() -> None:
    """No mode and no network is put in the place of a default that is not granted: they have to be asked for."""
    rootfs = Allowance(WIDE, WIDE.narrowed(modes=[Mode.ROOTFS, Mode.NONE]))
    assert refused(rootfs, NOTHING_ASKED) == (
        "isolation",
        "no isolation was asked for, and the server's is not allowed to you",
        "ask for one of: none, rootfs",
    )
    assert rootfs.choose(Confinement(rootfs="alpine")) == (Mode.ROOTFS, Network.NONE)
    network = Allowance(WIDE, WIDE.narrowed(networks=[Network.HOST]))
    assert refused(network, NOTHING_ASKED)[0] == "network"
    assert network.choose(Confinement(network=Network.HOST)) == (Mode.HOST, Network.HOST)
    nothing = Allowance(WIDE, WIDE.narrowed(modes=[]))
    assert refused(nothing, NOTHING_ASKED)[2] == "nothing of the kind is allowed to you"


def test_binds_are_held_against_both(tmp_path: Path) -> None:
    """A bind lies in what both allow, where it really is, and is writable only if both say so."""
    for name in ("data/ours/secret", "data/theirs", "etc"):
        (tmp_path / name).mkdir(parents=True)
    # What looks as if it lay in a directory of the configuration, and does not.
    (tmp_path / "data/link").symlink_to(tmp_path / "etc")
    config = IsolationConfig(
        binds=(
            AllowedBind(tmp_path / "data", writable=True),
            AllowedBind(tmp_path / "data/ours/secret", writable=False),
        )
    )
    granted = config.narrowed(
        binds=[
            AllowedBind(tmp_path / "data/ours", writable=True),
            AllowedBind(tmp_path / "data/theirs", writable=False),
            AllowedBind(tmp_path / "data/link", writable=True),
        ]
    )
    allowance = Allowance(config, granted)

    def is_allowed(name: str, *, writable: bool) -> bool:
        path = tmp_path / name
        try:
            allowance.check_bind(Bind(str(path), "/mnt", writable), path.resolve())
        except PermissionDenied:
            return False
        return True

    assert is_allowed("data/ours", writable=False)
    assert is_allowed("data/ours/secret", writable=False)
    assert not is_allowed("data/ours/secret", writable=True)
    assert is_allowed("data/theirs", writable=False)
    assert not is_allowed("data/theirs", writable=True)
    assert not is_allowed("data", writable=False)
    assert not is_allowed("data/link", writable=False)


def test_who_may_not_do_without_walls_is_not_left_without() -> None:
    """A grant without isolation none makes walls required, where the configuration would start jobs without."""
    config = IsolationConfig(modes=frozenset(Mode), required=False)
    assert not config.narrowed().required
    assert not config.narrowed(modes=[Mode.NONE, Mode.HOST]).required
    assert config.narrowed(modes=[Mode.HOST]).required
    assert Allowance(config, config.narrowed(modes=[Mode.HOST])).required
    assert not Allowance(config, config.narrowed()).required


def test_narrowed_without_arguments_changes_nothing() -> None:
    """What is not named stays as it is, and what is named is never more than there was."""
    assert WIDE.narrowed() == WIDE
    narrow = IsolationConfig()
    assert narrow.narrowed(modes=Mode, networks=Network, users=["root"], groups=["root"], scratch=1 << 40) == narrow


def test_what_is_read_only_is_not_written_to_from_above(tmp_path: Path) -> None:
    """A directory is not bound writable if one lies in it that is read-only; what lies beside that is."""
    (tmp_path / "data/tools/bin").mkdir(parents=True)
    (tmp_path / "data/beside").mkdir()
    rules = (AllowedBind(tmp_path / "data", writable=True), AllowedBind(tmp_path / "data/tools/bin", writable=False))
    config = IsolationConfig(binds=rules)
    granted = IsolationConfig(binds=rules[:1])
    for allowance in (Allowance(config), Allowance(config, granted), Allowance(granted, config)):
        for name in ("data", "data/tools"):
            real = tmp_path / name
            allowance.check_bind(Bind(str(real), "/mnt"), real)
            with pytest.raises(PermissionDenied, match="would make writable what is read-only for jobs") as caught:
                allowance.check_bind(Bind(str(real), "/mnt", True), real)
            assert caught.value.hint == (
                "a directory that is `:ro` lies in it: bind it read-only, or what lies beside that"
            )
        allowance.check_bind(Bind(str(tmp_path / "data/beside"), "/mnt", True), tmp_path / "data/beside")


@pytest.mark.parametrize("by", ["data", "alias"])
def test_a_job_can_not_replace_an_allowed_directory(tmp_path: Path, by: str) -> None:
    """A job that may write to one directory of the list can't have another of the list lead out of it."""
    (tmp_path / "data/in/tools").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("data")
    (tmp_path / "secret").mkdir()
    allowance = Allowance(
        IsolationConfig(
            binds=(
                AllowedBind(tmp_path / "data", writable=True),
                AllowedBind(tmp_path / by / "in/tools", writable=True),
            )
        )
    )
    secret = tmp_path / "secret"
    # As a job does it: the directory, or one on the way to it.
    for name, target in (("data/in/tools", secret), ("data/in", tmp_path), ("data/in", secret)):
        replaced = tmp_path / name
        replaced.rename(tmp_path / "aside")
        replaced.symlink_to(target)
        for bound in (secret, tmp_path, secret / "tools"):
            with pytest.raises(PermissionDenied, match="is not allowed on this server"):
                allowance.check_bind(Bind(str(bound), "/mnt", True), bound)
        replaced.unlink()
        (tmp_path / "aside").rename(replaced)
    allowance.check_bind(Bind(str(tmp_path / "data/in/tools"), "/mnt", True), tmp_path / "data/in/tools")
