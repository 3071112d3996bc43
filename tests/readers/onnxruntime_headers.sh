#!/usr/bin/env bash
# Unpacks the headers of onnxruntime's C API, from Debian's package of it, into a folder.
#
#     onnxruntime_headers.sh DIR
#
# No release of Debian needs to be installed for it, nor root: apt keeps its lists in the folder.
# Ends with 3 if the package cannot be had.
set -euo pipefail
directory=$(realpath "$1")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1) || exit 3
[ -n "$mirror" ] || exit 3
mkdir -p "$directory"/{lists,cache}/partial
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror trixie main" > "$directory/sources.list"
options=(-q -o "Dir::Etc::SourceList=$directory/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$directory/lists" -o "Dir::Cache=$directory/cache" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update || exit 3
cd "$directory"
apt-get "${options[@]}" download libonnxruntime-dev || exit 3
dpkg-deb -x libonnxruntime-dev_*.deb .
