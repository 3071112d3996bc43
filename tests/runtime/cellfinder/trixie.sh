#!/usr/bin/env bash
# Makes a folder with Debian trixie, Python 3.13 and cellfinder 1.11, which needs Python 3.12 or
# later, and its torch from Debian, which is a CPU build. As root, where debootstrap is installed.
#
#     tests/runtime/cellfinder/trixie.sh DIR [VERSION]
#
# Then: chroot DIR /opt/venv/bin/python
set -euo pipefail
directory=$1 version=${2:-1.11.0}
mirror=http://deb.debian.org/debian
# Without its tests and headers, torch takes half the time to unpack.
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$directory" $mirror
cat > "$directory/etc/dpkg/dpkg.cfg.d/small" << 'END'
force-unsafe-io
path-exclude=/usr/include/*
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
END
cp --dereference /etc/resolv.conf "$directory/etc/resolv.conf"
# The authorities that this computer trusts, since a site may have its own.
cp --dereference /etc/ssl/certs/ca-certificates.crt "$directory/etc/ssl/certs/"
in_trixie() { chroot "$directory" env -u PIP_FIND_LINKS "$@"; }
in_trixie apt-get update -q
in_trixie apt-get install -y -q --no-install-recommends python3-torch
in_trixie python3 -m venv --system-site-packages /opt/venv
# A plain install would bring CUDA, or try versions for hours.
in_trixie /opt/venv/bin/pip install -q --no-deps "cellfinder==$version" monai
in_trixie /opt/venv/bin/pip install -q \
    brainglobe-utils 'dask[array]' fancylog natsort numba scikit-image scikit-learn keras pooch \
    tifffile tqdm pyyaml onnxruntime click h5py onnx pytest pytest-timeout
