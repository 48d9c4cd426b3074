#!/usr/bin/env bash
# Installs the real clients that the tests drive: kcat (Debian package), kafka-python (in a virtual
# environment) and Apache Kafka's own tools (from their Maven artifacts), into target/test-clients;
# what makes file systems for the tests that break disks (Debian packages); and what reads the results
# of bench: HdrHistogram's Python package, and Chromium (Debian package) for its pages.
# Runs again at no cost: what is there stays.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
into=${HEDDLE_TEST_CLIENTS:-$root/target/test-clients}
kafka_version=4.3.1
python_version=3.0.12
hdrhistogram_version=0.10.8
mkdir -p "$into"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v kcat >/dev/null; then
  as_root apt-get update -qq
  as_root apt-get install -y -qq kcat >/dev/null
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

if [ ! -e "$into/apache-kafka/complete" ]; then
  if ! command -v mvn >/dev/null || ! command -v java >/dev/null; then
    as_root apt-get update -qq
    as_root apt-get install -y -qq maven default-jdk-headless >/dev/null
  fi
  mkdir -p "$into/apache-kafka"
  cat >"$into/apache-kafka/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>heddle.test</groupId><artifactId>kafka-tools</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka_version</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.3</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.3</version></dependency>
</dependencies></project>
POM
  (cd "$into/apache-kafka" && mvn -q dependency:copy-dependencies -DoutputDirectory=lib)
  touch "$into/apache-kafka/complete"
fi
echo "clients are in $into"
