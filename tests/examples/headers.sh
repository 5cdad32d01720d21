#!/usr/bin/env bash
# headers.sh FOLDER: ONNX Runtime's headers as FOLDER/onnxruntime, from the first Debian release that has them. Nothing is installed.
set -euo pipefail
out=$(realpath -m "$1")
[ -e "$out/onnxruntime/onnxruntime_cxx_api.h" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{parts,lists/partial,archives/partial}
# The machine's own source of Debian, but of that release.
sed -E 's/^Suites:.*/Suites: trixie/' /etc/apt/sources.list.d/debian.sources | awk 'BEGIN { RS = ""; ORS = "\n\n" } !/security/' > "$work/parts/trixie.sources"
apt=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/parts" -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work")
apt-get "${apt[@]}" -qq update
cd "$work"
apt-get "${apt[@]}" -qq download libonnxruntime-dev 2>/dev/null
dpkg -x libonnxruntime-dev_*.deb unpacked
mkdir -p "$out"
cp -r unpacked/usr/include/onnxruntime "$out/"
