#!/usr/bin/env python3
"""Heddle beside Apache Kafka: the same open-loop load in turn, on one machine, in one run.

Starts one broker of each on the loopback interface, warms both up (a cold JVM is far slower), then runs every row of
the table against each in turn, several times, and prints a Markdown table and the raw lines. The client is
open_loop_client.c beside this file: librdkafka, latency counted from the intended send time.

needs: cc, librdkafka-dev, java, tests/install-clients.sh (for Kafka's archives), target/release/heddle
usage: versus_kafka.py OUT_DIR [--pairs N] [--seconds S] [--warm-up S] [--rows PxR,PxR..] [--shards N] [--kafka-sync]
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KAFKA = os.path.join(os.environ.get("HEDDLE_TEST_CLIENTS", os.path.join(ROOT, "target/test-clients")), "apache-kafka/lib")
PORTS = {"heddle": 29092, "kafka": 19092}


def wait_for(port, process, what):
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{what} ended with {process.returncode}; see its log in OUT_DIR")
            time.sleep(0.05)
    sys.exit(f"{what} does not listen on {port}")


def start_heddle(out, shards):
    log = open(f"{out}/heddle.log", "wb")
    command = [f"{ROOT}/target/release/heddle", "serve", "--listen", f"127.0.0.1:{PORTS['heddle']}",
               "--data", f"{out}/heddle-data"]
    if shards:
        command += ["--shards", str(shards)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    wait_for(PORTS["heddle"], process, "heddle")
    return process


def start_kafka(out, sync):
    port = PORTS["kafka"]
    java = ["java", "-cp", f"{KAFKA}/*"]
    properties = f"{out}/server.properties"
    with open(properties, "w") as file:
        file.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{port + 1}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={out}/kafka-data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
""")
        if sync:
            file.write("log.flush.interval.messages=1\n")
    log = open(f"{out}/kafka.log", "wb")
    cluster = subprocess.run(java + ["kafka.tools.StorageTool", "random-uuid"], capture_output=True, text=True, check=True)
    subprocess.run(java + ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster.stdout.strip(), "-c", properties],
                   stdout=log, stderr=log, check=True)
    # The flags of Kafka's own start script.
    process = subprocess.Popen(
        ["java", "-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
         "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
         "-cp", f"{KAFKA}/*", "kafka.Kafka", properties], stdout=log, stderr=log)
    wait_for(port, process, "kafka")
    return process


def load(client, name, process, partitions, rate, linger, seconds, warm_up):
    # A topic for each number of partitions, so that a run never meets another run's topic.
    command = [client, "-b", f"127.0.0.1:{PORTS[name]}", "-t", f"olp-{partitions}", "-p", str(partitions), "-r", str(rate),
               "-l", str(linger), "-d", str(seconds), "-w", str(warm_up), "-P", str(process.pid)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    line = json.loads(result.stdout.strip().splitlines()[-1])
    line["broker"] = name
    return line


def table(lines, pairs):
    rows = {}
    for line in lines:
        rows.setdefault((line["parts"], line["rate"], line["linger"]), {}).setdefault(line["broker"], []).append(line)
    print(f"\n| partitions | records/s | linger | broker | ack p50 / p99 / p99.9 ms (median of {pairs}) | ratio of p99, p99.9 "
          "| end to end p50 / p99 ms | CPU s/GB |")
    print("|---|---|---|---|---|---|---|---|")
    median = lambda runs, kind, key: statistics.median(run[kind][key] for run in runs) / 1000
    for (parts, rate, linger), brokers in rows.items():
        for name, runs in brokers.items():
            ack = [median(runs, "ack", key) for key in ("p50", "p99", "p999")]
            ends = [median(runs, "e2e", key) for key in ("p50", "p99")]
            cpu = statistics.median(run["cpu_s_per_GB"] for run in runs)
            ratio = ""
            if name == "heddle" and "kafka" in brokers:
                other = [median(brokers["kafka"], "ack", key) for key in ("p99", "p999")]
                ratio = " and ".join(f"1/{theirs / ours:.1f}" for theirs, ours in zip(other, ack[1:]))
            print(f"| {parts} | {rate:.0f} | {linger} | {name} | {' / '.join(f'{v:.2f}' for v in ack)} | {ratio} "
                  f"| {' / '.join(f'{v:.2f}' for v in ends)} | {cpu:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=4)
    parser.add_argument("--kafka-warm-up", type=int, default=60)
    parser.add_argument("--rows", default="4x1000,64x1000,4x5000,64x5000", help="PARTITIONSxRATE, linger 0; PxR/L for another linger")
    parser.add_argument("--shards", type=int, default=0)
    parser.add_argument("--kafka-sync", action="store_true", help="log.flush.interval.messages=1")
    parser.add_argument("--only", choices=["heddle", "kafka"])
    arguments = parser.parse_args()
    out = os.path.abspath(arguments.out)
    os.makedirs(out, exist_ok=True)
    client = f"{out}/open_loop_client"
    subprocess.run(["cc", "-O2", "-o", client, f"{HERE}/open_loop_client.c", "-lrdkafka", "-lpthread"], check=True)
    brokers, lines = {}, []
    try:
        if arguments.only != "kafka":
            brokers["heddle"] = start_heddle(out, arguments.shards)
        if arguments.only != "heddle":
            brokers["kafka"] = start_kafka(out, arguments.kafka_sync)
            load(client, "kafka", brokers["kafka"], 4, 5000, 0, arguments.kafka_warm_up, 0)
        if "heddle" in brokers:
            load(client, "heddle", brokers["heddle"], 4, 5000, 0, 3, 0)
        for row in arguments.rows.split(","):
            shape, _, linger = row.partition("/")
            partitions, rate = (int(part) for part in shape.split("x"))
            for _ in range(arguments.pairs):
                for name, process in brokers.items():
                    line = load(client, name, process, partitions, rate, int(linger or 0), arguments.seconds, arguments.warm_up)
                    lines.append(line)
                    print(json.dumps(line), flush=True)
    finally:
        for process in brokers.values():
            process.send_signal(signal.SIGTERM)
        for process in brokers.values():
            process.wait()
    with open(f"{out}/lines.json", "w") as file:
        json.dump(lines, file, indent=1)
    table(lines, arguments.pairs)
    for name in ("heddle-data", "kafka-data"):
        shutil.rmtree(f"{out}/{name}", ignore_errors=True)


main()
