#!/usr/bin/env bash
# Makes a folder with Debian trixie, its Python 3.13 and its torch, which is a CPU build, and with
# cellfinder 1.11, which needs Python 3.12 or later. As root, where debootstrap is installed.
#
#     make_trixie.sh DIR [VERSION]
#
# Ends with 3 if Debian or its packages cannot be had. in_trixie.sh runs a command inside.
set -euo pipefail
directory=$1 version=${2:-1.11.0}
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$directory" || exit 3
# What nobody reads here takes half the time to unpack.
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
chroot "$directory" apt-get update -q || exit 3
chroot "$directory" apt-get install -y -q --no-install-recommends python3-torch || exit 3
chroot "$directory" python3 -m venv --system-site-packages /opt/venv
# With its requirements, pip would bring CUDA, or try versions for hours.
chroot "$directory" /opt/venv/bin/pip install -q --no-deps "cellfinder==$version" monai
chroot "$directory" /opt/venv/bin/pip install -q \
    brainglobe-utils 'dask[array]' fancylog natsort numba scikit-image scikit-learn keras pooch \
    tifffile tqdm pyyaml h5py onnx onnxruntime click pytest pytest-timeout
