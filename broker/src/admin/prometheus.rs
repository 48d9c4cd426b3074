//! `/metrics`: what all shards know, for Prometheus. As OpenMetrics text, or as protobuf with native histograms where the
//! scraper prefers that. `docs/operate/metrics.md` says what each metric means; a test holds the two together.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NativeHistogram, NativeHistogramBuckets,
    NoLabelSet, prometheus_protobuf, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::gather::Gathered;
use super::http::{Response, Status};
use crate::observe::histogram::HistogramCopy;
use crate::observe::snapshot::{COUNTERS, GAUGES, QUEUES};

/// In which form metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics text.
    Text,
    /// Prometheus protobuf, delimited.
    Protobuf,
}

/// Upper bounds of the buckets of classic histograms, in seconds.
const BUCKETS: [f64; 20] = [
    10e-6, 25e-6, 50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 1.5e-3, 2.5e-3, 5e-3, 10e-3,
    25e-3, 50e-3, 100e-3, 250e-3, 1.0, 2.5, 10.0,
];

/// Native buckets to a doubling, as a power of two: each is 4.4 % wider than the one before.
const NATIVE_SCHEMA: i32 = 4;

impl Form {
    /// The form that an `Accept` header prefers; text where it does not say.
    pub fn wanted(accept: &str) -> Form {
        let mut protobuf = 0.0;
        let mut other: f64 = 0.0;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut quality, mut is_family, mut is_delimited) = (1.0_f32, true, true);
            for part in parts {
                match part.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("proto", value)) => {
                        is_family = value == "io.prometheus.client.MetricFamily"
                    }
                    Some(("encoding", value)) => is_delimited = value == "delimited",
                    _ => {}
                }
            }
            let quality = f64::from(quality);
            match kind {
                "" => {}
                "application/vnd.google.protobuf" if is_family && is_delimited => {
                    protobuf = quality
                }
                "application/vnd.google.protobuf" => {}
                _ => other = other.max(quality),
            }
        }
        if protobuf > 0.0 && protobuf >= other { Form::Protobuf } else { Form::Text }
    }
}

/// The page.
pub fn page(gathered: &Gathered, form: Form) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(gathered.clone())));
    let (content_type, body) = match form {
        Form::Text => {
            let mut body = String::new();
            let written = text::encode(&mut body, &registry).map(|()| body.into_bytes());
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", written.ok())
        }
        Form::Protobuf => {
            let written = prometheus_protobuf::encode_to_vec(&registry);
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited",
                written.ok(),
            )
        }
    };
    match body {
        Some(body) => Response { status: Status::Ok, content_type, body },
        None => Response::text(Status::Unavailable, "the metrics could not be written\n"),
    }
}

/// Everything that was gathered, as metrics.
#[derive(Debug)]
struct Metrics(Gathered);

/// Families, one after the other.
struct Families<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Families<'_, '_> {
    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    /// Values that only grow; `_total` is put behind the name.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, f64, f64>(&value, None)?;
        }
        Ok(())
    }

    /// Values that go up and down.
    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut family = self.begin(name, help, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, f64, f64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.begin(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(&mut encoder);
        self.broker(&mut families)?;
        self.requests(&mut families)?;
        self.shards(&mut families)?;
        self.kafka(&mut families)?;
        self.partitions(&mut families)?;
        self.process(&mut families)
    }
}

impl Metrics {
    fn broker(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Metrics(gathered) = self;
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", env!("GIT_REVISION")),
            ("durability", gathered.durability),
        ];
        families
            .begin(
                "heddle_build",
                "The program, and the class of durability in force",
                MetricType::Info,
            )?
            .encode_info(&build)?;
        families.gauge(
            "heddle_uptime_seconds",
            "Since the broker serves",
            gathered.uptime.as_secs_f64(),
        )?;
        families.gauge("heddle_shards", "Shards", gathered.shards_asked as f64)?;
        families.gauge(
            "heddle_shards_silent",
            "Shards that did not answer in time and are not in these metrics",
            (gathered.shards_asked - gathered.shards.len()) as f64,
        )?;
        families.gauge(
            "heddle_partitions_unlisted",
            "Partitions that these metrics do not name, because there are too many",
            gathered.partitions_in_all as f64 - gathered.partitions.len() as f64,
        )
    }

    fn requests(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Metrics(gathered) = self;
        let counted = gathered.shards.iter().flat_map(|shard| {
            shard.requests.iter().map(move |(api, count)| {
                ([("api", (*api).to_owned()), ("shard", shard.shard.to_string())], *count as f64)
            })
        });
        families.counters("heddle_requests", "Requests read", counted)?;
        let mut family = families.begin(
            "heddle_request_duration_seconds",
            "Where answered Produce and Fetch requests spent their time; the stages add up to the total",
            MetricType::Histogram,
        )?;
        for shard in &gathered.shards {
            for timings in &shard.timings {
                let of_stage = timings.stages.iter().map(|(stage, copy)| (stage.name(), copy));
                for (stage, copy) in of_stage.chain([("total", &timings.total)]) {
                    let labels = [
                        ("api", timings.timed.name().to_owned()),
                        ("stage", stage.to_owned()),
                        ("shard", shard.shard.to_string()),
                    ];
                    histogram(&mut family.encode_family(&labels)?, copy)?;
                }
            }
        }
        Ok(())
    }

    fn shards(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let shards = &self.0.shards;
        let label = |shard: u16| [("shard", shard.to_string())];
        families.counters(
            "heddle_shard_cpu_seconds",
            "Processor time of a shard's thread, without kernel workers",
            shards.iter().map(|shard| (label(shard.shard), shard.cpu.as_secs_f64())),
        )?;
        let queues = shards.iter().flat_map(|shard| {
            QUEUES.iter().zip(shard.queue).map(|(queue, busy)| {
                let labels = [("shard", shard.shard.to_string()), ("queue", (*queue).to_owned())];
                (labels, busy.as_secs_f64())
            })
        });
        families.counters("heddle_shard_task_queue_seconds", "Time in tasks, by queue", queues)?;
        for (at, named) in COUNTERS.iter().enumerate() {
            let values = shards.iter().map(|shard| (label(shard.shard), shard.counters[at] as f64));
            families.counters(&format!("heddle_{}", named.name), named.help, values)?;
        }
        for (at, named) in GAUGES.iter().enumerate() {
            let values = shards.iter().map(|shard| (label(shard.shard), shard.gauges[at]));
            families.gauges(&format!("heddle_{}", named.name), named.help, values)?;
        }
        Ok(())
    }

    /// The names that dashboards for Apache Kafka ask for, where we know as much. The sum over all topics.
    fn kafka(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Metrics(gathered) = self;
        let sum = |name: &str| {
            let at = COUNTERS.iter().position(|named| named.name == name);
            let at = at.expect("the table has this name: a test asks for all of them");
            gathered.shards.iter().map(|shard| shard.counters[at]).sum::<u64>() as f64
        };
        let requests = |api: &str| {
            let all = gathered.shards.iter().flat_map(|shard| &shard.requests);
            all.filter(|(name, _)| *name == api).map(|(_, count)| *count).sum::<u64>() as f64
        };
        for (name, help, value) in [
            ("messagesin", "Records appended", sum("records")),
            ("bytesin", "Bytes of record batches appended", sum("batch_bytes")),
            ("bytesout", "Bytes of record batches sent to consumers", sum("fetched_bytes")),
            ("totalproducerequests", "Produce requests", requests("Produce")),
            ("totalfetchrequests", "Fetch requests", requests("Fetch")),
            ("failedproducerequests", "Record batches refused", sum("batches_refused")),
            (
                "failedfetchrequests",
                "Partitions of Fetch requests answered with an error",
                sum("fetches_refused"),
            ),
        ] {
            families.counter(&format!("kafka_server_brokertopicmetrics_{name}"), help, value)?;
        }
        let connections = sum("connections_opened") - sum("connections_closed");
        let partitions = gathered.partitions_in_all as f64;
        for (name, help, value) in [
            (
                "kafka_server_socket_server_metrics_connection_count",
                "Connections open",
                connections,
            ),
            ("kafka_server_replicamanager_partitioncount", "Partitions on this node", partitions),
            (
                "kafka_server_replicamanager_leadercount",
                "Partitions this node leads",
                partitions - gathered.offline as f64,
            ),
            (
                "kafka_server_replicamanager_underreplicatedpartitions",
                "Partitions with fewer replicas in sync than they have: none on a single node",
                0.0,
            ),
            (
                "kafka_controller_kafkacontroller_activecontrollercount",
                "Whether this node is the controller",
                1.0,
            ),
            (
                "kafka_controller_kafkacontroller_offlinepartitionscount",
                "Partitions that nobody serves, because their data is damaged",
                gathered.offline as f64,
            ),
            ("kafka_controller_kafkacontroller_globaltopiccount", "Topics", gathered.topics as f64),
            ("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions", partitions),
        ] {
            families.gauge(name, help, value)?;
        }
        Ok(())
    }

    fn partitions(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let partitions = &self.0.partitions;
        let values = |value: fn(&super::gather::Partition) -> f64| {
            partitions.iter().map(move |partition| {
                let topic = ("topic", partition.topic.to_string());
                ([topic, ("partition", partition.partition.to_string())], value(partition))
            })
        };
        families.gauges(
            "kafka_topic_partition_current_offset",
            "The high watermark",
            values(|partition| partition.visible_end as f64),
        )?;
        families.gauges(
            "kafka_topic_partition_oldest_offset",
            "The first offset",
            values(|partition| partition.log_start as f64),
        )?;
        families.gauges(
            "kafka_log_log_size",
            "Bytes of a partition, what is still to be written to segments included",
            values(|partition| partition.bytes as f64),
        )
    }

    fn process(&self, families: &mut Families<'_, '_>) -> fmt::Result {
        let Some(process) = &self.0.process else { return Ok(()) };
        families.counter(
            "process_cpu_seconds",
            "Processor time of the process, kernel workers included",
            process.cpu.as_secs_f64(),
        )?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", process.resident_bytes as f64),
            ("process_virtual_memory_bytes", "Mapped addresses", process.virtual_bytes as f64),
            ("process_open_fds", "File descriptors open", process.open_files as f64),
            ("process_max_fds", "File descriptors there may be", process.open_files_max as f64),
            ("process_start_time_seconds", "Start of the process since 1970", process.started),
        ] {
            families.gauge(name, help, value)?;
        }
        Ok(())
    }
}

/// One histogram in both forms; text has the classic buckets alone.
fn histogram(encoder: &mut MetricEncoder<'_>, copy: &HistogramCopy) -> fmt::Result {
    let mut buckets = Vec::with_capacity(BUCKETS.len() + 1);
    let mut counted = copy.buckets.iter().peekable();
    for bound in BUCKETS {
        let mut count = 0;
        while let Some((_, some)) = counted.next_if(|(ns, _)| seconds(*ns) <= bound) {
            count += some;
        }
        buckets.push((bound, count));
    }
    buckets.push((f64::INFINITY, counted.map(|(_, count)| count).sum()));
    let native = native(copy);
    encoder.encode_histogram_with_native::<NoLabelSet>(
        seconds(copy.sum_ns),
        copy.count,
        &buckets,
        None,
        NativeHistogram {
            schema: NATIVE_SCHEMA,
            zero_threshold: 1e-9,
            zero_count: native.zeroes,
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: &native.spans, deltas: &native.deltas },
            created: None,
        },
    )
}

/// The sparse buckets of a native histogram: runs of neighbours, and counts as differences.
#[derive(Debug, Default, PartialEq, Eq)]
struct Native {
    zeroes: u64,
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
}

fn native(copy: &HistogramCopy) -> Native {
    let mut native = Native::default();
    let mut runs: Vec<(i32, u64)> = Vec::new();
    for (ns, count) in &copy.buckets {
        if *ns <= 1 {
            native.zeroes += count;
            continue;
        }
        // Bucket i ends at 2^(i / 2^schema), its end included.
        let index = (seconds(*ns).log2() * f64::from(1 << NATIVE_SCHEMA)).ceil() as i32;
        match runs.last_mut() {
            Some((last, sum)) if *last == index => *sum += count,
            _ => runs.push((index, *count)),
        }
    }
    let (mut next, mut before) = (0, 0);
    for (index, count) in runs {
        match native.spans.last_mut() {
            Some((_, length)) if next == index => *length += 1,
            _ => native.spans.push((index - next, 1)),
        }
        native.deltas.push(count as i64 - before);
        (next, before) = (index + 1, count as i64);
    }
    native
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_scraper_prefers() {
        let check = |accept: &str, expected| assert_eq!(Form::wanted(accept), expected, "{accept}");
        check("", Form::Text);
        check("*/*", Form::Text);
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        check(protobuf, Form::Protobuf);
        check(
            &format!("{protobuf};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"),
            Form::Protobuf,
        );
        check(&format!("{protobuf};q=0.1,text/plain;version=0.0.4;q=0.5"), Form::Text);
        check(&format!("{protobuf};q=0"), Form::Text);
        check("application/vnd.google.protobuf;proto=other;encoding=delimited", Form::Text);
    }

    #[test]
    fn native_buckets_are_runs_of_neighbours() {
        let second = 1_000_000_000;
        let copy = HistogramCopy {
            count: 13,
            sum_ns: 0,
            // 1 s is the end of bucket 0; 1.04 s lies in bucket 1, as does 1.02 s; 2 s is the end of bucket 16.
            buckets: vec![
                (0, 2),
                (second, 5),
                (second + second / 50, 1),
                (second + second / 25, 2),
                (2 * second, 3),
            ],
        };
        let expected = Native { zeroes: 2, spans: vec![(0, 2), (14, 1)], deltas: vec![5, -2, 0] };
        assert_eq!(native(&copy), expected);
    }
}
