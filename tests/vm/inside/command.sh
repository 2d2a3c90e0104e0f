# Process 1 of the guest: runs the command with the settings that were put before this, and says how it ended.

exec </dev/null >"/dev/$OUTPUT" 2>&1
/run/guest/busybox stty -F "/dev/$OUTPUT" raw
(cd "$DIRECTORY" && run)
echo "exit $?" >/dev/ttyS1
exec /run/guest/busybox poweroff -f
