"""Writes and reads back through kafka-python; ends with a non-zero status at the first difference.

usage: kafka_python_round_trip.py HOST:PORT
"""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

bootstrap = sys.argv[1]


def same(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: found {found!r:.300}, expected {expected!r:.300}")


admin = KafkaAdminClient(bootstrap_servers=bootstrap)
codecs = [None, "gzip", "snappy", "lz4", "zstd"]
admin.create_topics([NewTopic(f"py-{codec}", 3, 1) for codec in codecs])

for codec in codecs:
    topic = f"py-{codec}"
    events = [
        (
            number % 3,
            None if number % 5 == 0 else b"key %d" % number,
            b"v" * (number * 37 % 4000),
            [("n", b"%d" % number)] if number % 2 else [],
            1_700_000_000_000 + number,
        )
        for number in range(600)
    ]
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, acks="all", compression_type=codec, linger_ms=5,
        enable_idempotence=codec in (None, "lz4"),
    )
    pending = [
        producer.send(topic, partition=p, key=k, value=v, headers=h, timestamp_ms=t) for p, k, v, h, t in events
    ]
    producer.flush()
    next_offset = [0, 0, 0]
    for (partition, *_), future in zip(events, pending):
        same(future.get(timeout=30).offset, next_offset[partition], f"{topic} offset")
        next_offset[partition] += 1
    producer.close()

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    partitions = [TopicPartition(topic, number) for number in range(3)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    seen = {number: [] for number in range(3)}
    for record in consumer:
        seen[record.partition].append((record.partition, record.key, record.value, list(record.headers), record.timestamp))
        if sum(map(len, seen.values())) == len(events):
            break
    for number in range(3):
        same(seen[number], [event for event in events if event[0] == number], f"{topic}-{number}")
    same(consumer.end_offsets(partitions), {p: 200 for p in partitions}, f"{topic} end offsets")
    found = consumer.offsets_for_times({partitions[0]: 1_700_000_000_003})
    same(found[partitions[0]].offset, 1, f"{topic} offset for a time")
    consumer.close()

admin.delete_topics(["py-gzip"])
same("py-gzip" in admin.list_topics(), False, "a deleted topic")
same("py-zstd" in admin.list_topics(), True, "a topic that stays")
print("all as written")
