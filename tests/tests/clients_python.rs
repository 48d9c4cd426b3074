//! kafka-python: a client of another family, with its own idea of batches and compression.

use tests::clients::{Client, run};
use tests::{BrokerProcess, Settings};

#[test]
fn produces_consumes_and_administers() {
    let Some(mut python) = Client::KafkaPython.find() else { return };
    let broker = BrokerProcess::start(Settings::default().shards(2));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/data/kafka_python_round_trip.py");
    let output = run(python.arg(script).arg(broker.bootstrap()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with("all as written\n"), "{text}");
}
