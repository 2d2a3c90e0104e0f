"""Which system calls a job may make: data, from the man pages of section 2.

A call that is in none of these lists is answered with ENOSYS, as an older kernel would: programs and the C
library fall back to what they did before that call was invented. What is refused on purpose is answered with
EPERM, so that whoever reads the job's output sees a refusal.
"""

from __future__ import annotations

# clone(2), unshare(2): the bits of all CLONE_NEW flags, CLONE_NEWTIME among them.
NEW_NAMESPACES = 0x7E020080

# socket(2): a protocol family, and None or the one protocol that is allowed in it. Netlink has the routing
# tables, that getaddrinfo(3) and ip(8) read, and nothing of the firewall.
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
SOCKET_FAMILIES = {UNIX: None, INET: None, INET6: None, NETLINK: 0}

# personality(2): Linux with and without random addresses, 32-bit machine names, and the question which it is.
PERSONALITIES = (0x0, 0x0040000, 0x8, 0xFFFFFFFF)

# Protocols of INET and INET6, protocols(5): the default, ICMP, TCP, UDP, ICMPv6, UDP-Lite, MPTCP. With another
# anybody has the kernel load a module, such as those of SCTP, DCCP and L2TP, which have a long record of holes.
INTERNET_PROTOCOLS = (0, 1, 6, 17, 58, 136, 262)

# ioctl_tty(2): put characters into a terminal's input, as if somebody had typed them (TIOCSTI, TIOCLINUX); make
# a terminal a modem's or a bus's end, which loads a module (TIOCSETD).
REFUSED_REQUESTS = (0x5412, 0x541C, 0x5423)

# mmap(2), memfd_create(2), shmget(2): huge pages are set aside by the host, and no limit of memory counts them.
MAP_HUGETLB, MFD_HUGETLB, SHM_HUGETLB = 0x40000, 0x4, 0o4000

# getrlimit(2). With 0 in place of the 1 that a job has, the kernel would start the host's program for core dumps.
RLIMIT_CORE = 4

_FILES = """
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr lchown
    lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat
    newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
    readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx
    symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes
    vmsplice write writev
"""

_EVENTS = """
    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 fanotify_mark
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll pselect6 select signalfd signalfd4
    timerfd_create timerfd_gettime timerfd_settime
"""

_MEMORY = """
    brk cachestat get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create mincore mlock mlock2
    mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    process_madvise process_mrelease remap_file_pages set_mempolicy set_mempolicy_home_node
"""

_PROCESSES = """
    alarm arch_prctl capget capset execve execveat exit exit_group fork getegid geteuid getgid getgroups
    getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid
    get_robust_list get_thread_area ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self pause pidfd_getfd pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv
    process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp setfsgid setfsuid
    setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid
    set_robust_list set_thread_area set_tid_address sigaltstack tgkill tkill vfork wait4 waitid
"""

_COMMUNICATION = """
    accept accept4 bind connect futex futex_requeue futex_wait futex_waitv futex_wake getpeername getsockname
    getsockopt listen mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget
    msgrcv msgsnd pipe pipe2 recvfrom recvmmsg recvmsg semctl semget semop semtimedop sendmmsg sendmsg sendto
    setsockopt shmat shmctl shmdt shmget shutdown
"""

_TIME_AND_SYSTEM = """
    adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep getcpu getitimer getrandom gettimeofday
    ioctl nanosleep setitimer sysinfo time timer_create timer_delete timer_getoverrun timer_gettime
    timer_settime times uname
"""

ALLOWED = tuple("".join((_FILES, _EVENTS, _MEMORY, _PROCESSES, _COMMUNICATION, _TIME_AND_SYSTEM)).split())

# Mounts and roots; modules and the running kernel; handles that open files by number; the host's clock and
# name; keys that outlive a job; kernel interfaces with a long record of holes.
_REFUSED = """
    chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root
    setns umount2
    acct delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load quotactl quotactl_fd
    reboot swapoff swapon syslog vhangup
    fanotify_init name_to_handle_at open_by_handle_at
    clock_settime setdomainname sethostname settimeofday
    add_key keyctl request_key
    bpf io_uring_enter io_uring_register io_uring_setup kcmp lookup_dcookie memfd_secret migrate_pages
    modify_ldt move_pages perf_event_open userfaultfd
"""

REFUSED = tuple(_REFUSED.split())

# Answered like calls that are not there: clone3's flags can't be looked at, and programs fall back to clone. All
# that anybody has of native AIO counts against the whole host's fs.aio-max-nr; programs fall back to threads.
HIDDEN = ("clone3", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit")
