//! The loads of a comparison: so many partitions, so many records a second, so much linger.

use std::fmt;
use std::str::FromStr;

use crate::plan::{Plan, Rate};

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Partitions of the topic.
    pub partitions: u32,
    /// Records of 1 KiB a second; `None` for as many as are taken.
    pub rate: Option<f64>,
    /// How long a batch waits for more records.
    pub linger_ms: u64,
}

/// All rows, as `--rows` takes them: 4 and 64 partitions; few records that are sent at once, many in batches, and saturation.
pub const ALL: &str =
    "4x1000,4x5000,4x20000/5,4x100000/5,4xmax/5,64x1000,64x5000,64x20000/5,64x100000/5,64xmax/5";
/// The rows of a quick look.
pub const QUICK: &str = "4x1000,4x20000/5,4xmax/5";

/// Of batches at saturation: few requests, so that the client costs little.
const SATURATION_BATCH: u32 = 256 << 10;
/// Of batches that have time to fill: librdkafka's default.
const LINGER_BATCH: u32 = 1_000_000;

impl Row {
    /// What is run: one producer, acks=all, and beside fixed rates a consumer that reads along.
    pub fn plan(&self, warm_up_ms: u64, duration_ms: u64) -> Plan {
        let consumed = u32::from(self.rate.is_some());
        let batch_bytes = match (self.rate, self.linger_ms) {
            (None, _) => SATURATION_BATCH,
            (Some(_), 0) => Plan::default().batch_bytes,
            (Some(_), _) => LINGER_BATCH,
        };
        Plan {
            name: self.to_string(),
            partitions: self.partitions,
            rate: self.rate.map_or(Rate::Max, Rate::PerSecond),
            partitioning: match self.rate {
                Some(_) => crate::plan::Partitioning::RoundRobin,
                None => crate::plan::Partitioning::Sticky,
            },
            fan_out: consumed,
            consumers: consumed,
            linger_us: self.linger_ms * 1_000,
            batch_bytes,
            warm_up_ms,
            duration_ms,
            ..Plan::default()
        }
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(text: &str) -> Result<Row, String> {
        let wrong = || {
            format!(
                "`{text}` is no row; write PARTITIONSxRATE[/LINGER_MS], as 64x20000/5 or 4xmax/5"
            )
        };
        let (shape, linger) = text.split_once('/').unwrap_or((text, "0"));
        let (partitions, rate) = shape.split_once('x').ok_or_else(wrong)?;
        let partitions = partitions.parse().ok().filter(|count| (1..=10_000).contains(count));
        let rate = match rate {
            "max" => Some(None),
            rate => rate.parse().ok().filter(|rate| *rate > 0.0 && *rate < 1e9).map(Some),
        };
        let linger_ms = linger.parse().ok().filter(|ms| *ms < 60_000);
        match (partitions, rate, linger_ms) {
            (Some(partitions), Some(rate), Some(linger_ms)) => {
                Ok(Row { partitions, rate, linger_ms })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.partitions)?;
        match self.rate {
            Some(rate) => write!(f, "{rate}")?,
            None => f.write_str("max")?,
        }
        match self.linger_ms {
            0 => Ok(()),
            ms => write!(f, "/{ms}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_written() {
        for text in ALL.split(',').chain(QUICK.split(',')) {
            let row: Row = text.parse().expect("a row");
            assert_eq!(row.to_string(), text);
            row.plan(1_000, 3_000).check().expect("a plan that can be run");
        }
        for wrong in ["4", "0x1000", "4x0", "4x1000/x", "axb", "", "4xmax/5/6"] {
            wrong.parse::<Row>().expect_err(wrong);
        }
    }

    #[test]
    fn a_consumer_reads_along_at_fixed_rates_only() {
        let plan = |text: &str| text.parse::<Row>().expect("a row").plan(0, 1_000);
        assert_eq!((plan("4x1000").fan_out, plan("4xmax/5").fan_out), (1, 0));
        assert_eq!(plan("64x20000/5").linger_us, 5_000);
        assert_eq!(plan("64xmax").rate, Rate::Max);
    }
}
