# shellcheck shell=sh
# shellcheck disable=SC2046,SC2086 # lists of process ids and of folders are meant to be split

# Undoes what a box leaves outside of its namespaces, which are gone: empty cgroups, and the host's network device.
# Version 1 of cgroups has a hierarchy for each controller, version 2 has one.
: "${box:?is the name of the cgroup}"
roots() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$box" 2>/dev/null; }

# Each root by its name, never a list that may be empty by now, for somebody else may clean up as well: given no folder,
# `find` takes the one that it stands in, and all that is emptied and killed here would be the host's.
tries=0
while [ -n "$(roots)" ] && [ $tries -lt 200 ]; do
    for root in $(roots); do
        left=$(find "${root:?}" -name cgroup.procs -exec cat {} + 2>/dev/null)
        [ -z "$left" ] || kill -KILL $left 2>/dev/null
        find "${root:?}" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    tries=$((tries + 1))
    sleep 0.02
done

# The kernel drops it with the namespace of its other end, a moment later.
tries=0
while ip link show "${box}h" >/dev/null 2>&1 && [ $tries -lt 200 ]; do
    [ $tries -lt 100 ] || ip link del "${box}h" 2>/dev/null
    tries=$((tries + 1))
    sleep 0.02
done
