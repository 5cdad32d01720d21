#!/usr/bin/env bash
# Unpacks an arm64 Debian python with ONNX Runtime, LiteRT and edge-fgir's base install into FOLDER, for
#     qemu-aarch64-static -L FOLDER FOLDER/usr/bin/python3
# Nothing is installed or changed outside FOLDER. Packages come from wherever apt-get and pip get theirs on this machine.
# PYTHON is the python whose pip is used.
set -euo pipefail
root=$(realpath -m "${1:?usage: aarch64_root.sh FOLDER}")
cd "$(dirname "$0")"

# Newer aarch64 wheels of ONNX Runtime crash when they are imported under qemu-user 7.2.
onnxruntime=1.24.4
# So do newer ones of LiteRT, when a file is opened.
litert=1.4.0
base="numpy pillow pydantic pyyaml typer rich"

made_from=$(cat "$(basename "$0")" ../../constraints.txt | sha256sum)
[ "$(cat "$root/made_from" 2>/dev/null)" != "$made_from" ] || exit 0
rm -rf "$root"
mkdir -p "$root"/apt/{lists,archives}/partial
: >"$root/apt/status"
: >"$root/apt/log"

arm64() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root \
        -o Dir::State="$root/apt" -o Dir::State::status="$root/apt/status" -o Dir::Cache="$root/apt" \
        -o Dir::Log="$root/apt" "$@" >>"$root/apt/log" 2>&1 || { tail -5 "$root/apt/log" >&2; exit 1; }
}
arm64 update
arm64 --yes --no-install-recommends --download-only install python3 libstdc++6
for package in "$root"/apt/archives/*.deb; do
    # Where /lib is a link to /usr/lib, it stays one.
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
done

version=$(basename "$(readlink -f "$root/usr/bin/python3")")
grep -v -E '^(onnxruntime|ai-edge-litert)=' ../../constraints.txt >"$root/constraints.txt"
# shellcheck disable=SC2086
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target "$root/site" \
    --python-version "${version#python}" --implementation cp --only-binary=:all: \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 \
    --constraint "$root/constraints.txt" $base "onnxruntime==$onnxruntime" "ai-edge-litert==$litert"
rm -rf "$root/apt"
echo "$made_from" >"$root/made_from"
