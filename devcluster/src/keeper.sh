# shellcheck shell=sh
# shellcheck disable=SC2086 # a list of process ids is meant to be split

# Ends a run: $1 is its folder, $2 the mark that all its processes carry in their environment.
#
# Standard input is a pipe whose other end only the owner of the run has. It never writes: the pipe ends when the owner
# does, however it does. Signals to the owner's terminal are not for us.
trap '' HUP INT TERM QUIT
while read -r _; do :; done

# By mark and not by process id: it finds what was started a moment ago, what changed its parent or its group, and never
# a stranger that was given an old number. Twice in a row nothing, because a fork takes on its mark only with its exec.
# One that nobody but root may look into, as the operator is, hides its environment, but not how it was called.
quiet=0
while [ $quiet -lt 2 ]; do
    marked=$(grep -lzxF -- "$2" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3)
    # By standard input, for grep must not find itself.
    marked="$marked $(echo "tied:${2#*=}" | grep -lzxF -f /dev/stdin -- /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3)"
    if [ -n "${marked# }" ]; then
        quiet=0
        kill -KILL $marked 2>/dev/null
    else
        quiet=$((quiet + 1))
    fi
    sleep 0.02
done

# What has to be undone outside of the folder, if anything.
[ ! -f "$1/end.sh" ] || sh "$1/end.sh"

for _ in 1 2 3 4 5; do
    rm -rf -- "$1" && break
    sleep 0.2
done
