#!/bin/sh
# Builds the Dockerfile beside this file with buildah, which needs no daemon, and lets the box work: `make reference-box`.
# The image that it starts from is made by debootstrap, so that Debian's packages and a package index are all that is
# reached. Needs root. Arguments: a folder for everything, which must not be there yet; then options for `buildah bud`.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1/data"
work=$(cd "$1" && pwd)
shift
store="--root $work/store --runroot $work/run --storage-driver vfs"

debootstrap --variant=minbase bookworm "$work/root" >"$work/debootstrap.log"
base=$(buildah $store from scratch)
buildah $store add -q "$base" "$work/root" /
buildah $store commit -q "$base" localhost/debian:bookworm
buildah $store rm "$base"
rm -rf "$work/root"

buildah $store bud --isolation chroot --pull-never --build-arg BASE=localhost/debian:bookworm "$@" \
    -t localhost/bort-reference -f reference/Dockerfile .
box=$(buildah $store from --pull-never localhost/bort-reference)

# As `docker run --network none -v DATA:/data bort-reference ...`, under the user that the Dockerfile names.
run() {
    echo "$ bort-convert $*"
    unshare --net buildah $store run --isolation chroot --volume "$work/data:/data" "$box" -- bort-convert "$@"
}
chmod 777 "$work/data"
cp fixtures/bort_4_8_24_32.params "$work/data/bort.params"
run record bort.params reference.safetensors --family bort --heads 8
run convert bort.params out --family bort --heads 8
run verify bort.params out
run verify reference.safetensors out
