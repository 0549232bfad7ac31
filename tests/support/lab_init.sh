#!/bin/busybox sh
# The first process of a lab board: pure version 2 of control groups with every controller handed down, a loopback, and
# then one suite after the other, each in a group of its own and with a deadline. What they said comes at the end.
export PATH=/bin HOME=/root
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
dmesg -n 1
ip link set lo up multicast on
echo "+cpuset +cpu +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control

# run NAME GROUP SECONDS COMMAND...
run() {
    name=$1 group=/sys/fs/cgroup/$2 seconds=$3
    shift 3
    mkdir -p "$group"
    echo "== begin $name"
    timeout -s KILL "$seconds" sh -c 'echo 0 > "$0/cgroup.procs"; exec "$@"' "$group" "$@" 2>&1
    echo "== end $name $?"
    read -r up rest < /proc/uptime
    echo "== $up s after the start"
}

