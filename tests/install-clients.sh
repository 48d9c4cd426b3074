#!/usr/bin/env bash
# Installs the real clients that the tests drive: kcat (Debian package), kafka-python (in a virtual
# environment) and Apache Kafka's own tools (from their Maven artifacts), into target/test-clients;
# what makes file systems for the tests that break disks and what counts instructions (Debian packages);
# and what reads the results of bench: HdrHistogram's Python package, and Chromium (Debian package) for its pages.
# Runs again at no cost: what is there stays.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
into=${HEDDLE_TEST_CLIENTS:-$root/target/test-clients}
python_version=3.0.12
hdrhistogram_version=0.10.8
mkdir -p "$into"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v kcat >/dev/null; then
  as_root apt-get update -qq
  as_root apt-get install -y -qq kcat >/dev/null
fi

if ! command -v valgrind >/dev/null; then
  as_root apt-get update -qq
  as_root apt-get install -y -qq valgrind >/dev/null
fi

for package in e2fsprogs:mkfs.ext4 xfsprogs:mkfs.xfs mount:losetup; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${package#*:}" >/dev/null && continue
  as_root apt-get update -qq
  as_root apt-get install -y -qq "${package%%:*}" >/dev/null
done

if ! "$into/python/bin/python" -c 'import kafka, hdrh' 2>/dev/null; then
  python3 -m venv "$into/python"
  "$into/python/bin/pip" install -q "kafka-python==$python_version" lz4 zstandard python-snappy crc32c \
    "hdrhistogram==$hdrhistogram_version"
fi

if ! command -v chromium >/dev/null; then
  as_root apt-get update -qq
  as_root apt-get install -y -qq chromium >/dev/null
fi

if ! command -v mvn >/dev/null || ! command -v java >/dev/null; then
  as_root apt-get update -qq
  as_root apt-get install -y -qq maven default-jdk-headless >/dev/null
fi
"$root/bench/rival/fetch.sh" "$into/apache-kafka"
echo "clients are in $into"
