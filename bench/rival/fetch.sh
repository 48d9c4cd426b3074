#!/usr/bin/env bash
# Fetches Apache Kafka from its Maven artifacts (pom.xml beside this file): the broker that `heddle bench versus`
# starts, and the command-line tools that the tests drive. Needs java and mvn. Runs again at no cost.
# usage: fetch.sh [DIR]      without DIR: target/test-clients/apache-kafka, where both look for it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=${1:-${HEDDLE_TEST_CLIENTS:-$here/../../target/test-clients}/apache-kafka}
version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$here/pom.xml")
if [ -e "$into/complete" ] && [ -e "$into/lib/kafka_2.13-$version.jar" ]; then exit 0; fi
mkdir -p "$into"
rm -rf "$into/lib" "$into/complete"
[ "$here/pom.xml" -ef "$into/pom.xml" ] || cp "$here/pom.xml" "$into/pom.xml"
(cd "$into" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib)
touch "$into/complete"
