#!/usr/bin/env bash
# Runs a command in the folder that make_trixie.sh has made: in_trixie.sh DIR COMMAND...
set -euo pipefail
# The mounts, which torch and multiprocessing want, end with the command.
exec unshare --mount --fork bash -ec '
    mount -t proc proc "$0/proc"
    mount -t tmpfs tmpfs "$0/dev/shm"
    exec chroot "$0" "$@"' "$@"
