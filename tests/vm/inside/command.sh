# Process 1 of the guest: runs the command with the settings that were put before this, and says how it ended.

# hostfs keeps a file of the host open for every inode that the guest remembers, and the host has a
# limit. It takes seconds to reach: a program that walks the file system is enough.
forget() {
    while /run/guest/busybox sleep 0.2; do
        # The shell's own read takes it byte by byte, and gets the first one.
        inodes=$(/run/guest/busybox cut -f1 /proc/sys/fs/inode-nr)
        [ "$inodes" -lt 4000 ] || echo 2 >/proc/sys/vm/drop_caches
    done
}

exec </dev/null >"/dev/$OUTPUT" 2>&1
/run/guest/busybox stty -F "/dev/$OUTPUT" raw
[ "$BACKEND" != uml ] || forget &
(cd "$DIRECTORY" && run)
echo "exit $?" >/dev/ttyS1
exec /run/guest/busybox poweroff -f
