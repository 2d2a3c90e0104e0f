#!/bin/busybox sh
# Process 1 of the guest's initramfs: makes a machine out of the host's files, and hands over to command.sh.
# /settings has BACKEND MODULES CGROUP OUTPUT DISK SCRATCH DIRECTORY; what happens is told on the console.

/bin/busybox --install -s /bin
export PATH=/bin
. /settings

fail() {
    echo "guest: $*" >/dev/console
    poweroff -f
}

mkdir -p /proc /sys /dev /host /writes /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $MODULES; do
    insmod "/modules/$module" || fail "$module can't be loaded"
done

# The host's files, below a layer that takes all writes.
case $BACKEND in
uml) mount -t hostfs -o ro,/ none /host ;;
qemu) mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host ;;
esac
mount -t tmpfs -o mode=0755 writes /writes
mkdir /writes/upper /writes/work
mount -t overlay -o lowerdir=/host,upperdir=/writes/upper,workdir=/writes/work root /root ||
    fail "the host's files can't be seen"

# What belongs to a running machine and must not be the host's.
for directory in proc sys dev run tmp; do mkdir -p "/root/$directory"; done
for directory in proc sys dev; do mount --move "/$directory" "/root/$directory"; done
mkdir -p /root/dev/pts /root/dev/shm
ln -sf /proc/self/fd /root/dev/fd
mount -t devpts -o ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 shm /root/dev/shm
mount -t tmpfs -o mode=0755 run /root/run
mkdir /root/run/guest
cp /bin/busybox /command.sh /root/run/guest
mkdir -p "/root$SCRATCH"
chroot /root /run/guest/busybox mount -t ext4 "/dev/$DISK" "$SCRATCH" || fail "$DISK can't be mounted"
chmod 1777 "/root$SCRATCH"
# And where jobs look too, whose /tmp is another; unless the command is there.
case $DIRECTORY/ in
/var/tmp/*) ;;
*)
    mkdir -m 1777 "/root$SCRATCH/var-tmp"
    mkdir -p /root/var/tmp
    mount --bind "/root$SCRATCH/var-tmp" /root/var/tmp
    ;;
esac

cgroup=/root/sys/fs/cgroup
case $CGROUP in
v2)
    mount -t cgroup2 cgroup2 $cgroup
    for controller in $(cat $cgroup/cgroup.controllers); do
        echo "+$controller" >$cgroup/cgroup.subtree_control
    done
    ;;
v1)
    mount -t tmpfs -o mode=0755 cgroup $cgroup
    for controller in cpu,cpuacct cpuset memory blkio pids devices freezer; do
        mkdir "$cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "$cgroup/$controller" || rmdir "$cgroup/$controller"
    done
    ;;
esac

ip link set lo up
echo up >/root/dev/ttyS1
exec switch_root /root /run/guest/busybox sh /run/guest/command.sh
