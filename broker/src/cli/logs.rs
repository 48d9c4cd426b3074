//! The log: lines on standard error, `2026-11-22T13:07:48.123Z INFO storage: recovered took=12ms`.
//!
//! `HEDDLE_LOG=info,storage=debug` sets the levels. There are no log files; whoever runs the broker
//! keeps its standard error.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line of text per event.
    #[default]
    Text,
    /// A JSON object per event.
    Json,
}

/// The variable that sets the levels.
const LEVELS: &str = "HEDDLE_LOG";

/// Opens the log of a broker. Keep what it returns until the end: dropping it writes what waits.
#[must_use = "dropping it ends the log"]
pub fn open_for_server(format: LogFormat) -> Option<tracing_appender::non_blocking::WorkerGuard> {
    // A shard must never wait for a terminal or a pipe; a line that finds the queue full is counted
    // and dropped.
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .buffered_lines_limit(8_192)
        .lossy(true)
        .thread_name("log")
        .finish(io::stderr());
    open(format, "info", writer).then_some(guard)
}

/// Opens the log of a client command: warnings only, unless `HEDDLE_LOG` asks for more.
pub fn open_for_client(format: LogFormat) {
    open(format, "warn", io::stderr);
}

fn open<W>(format: LogFormat, levels: &str, writer: W) -> bool
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let levels =
        std::env::var(LEVELS).ok().filter(|text| !text.is_empty()).unwrap_or(levels.into());
    let filter = EnvFilter::builder().parse_lossy(levels);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => {
            let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(color).event_format(Line).try_init().is_ok()
        }
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).try_init().is_ok()
        }
    }
}

/// Time, level, `shard=N` where a span says so, module, message, fields.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let level = *metadata.level();
        let color = match (writer.has_ansi_escapes(), level) {
            (true, tracing::Level::ERROR) => "\x1b[31m",
            (true, tracing::Level::WARN) => "\x1b[33m",
            _ => "",
        };
        let plain = if color.is_empty() { "" } else { "\x1b[0m" };
        write!(writer, "{} {color}{level:>5}{plain} ", timestamp(unix_ms()))?;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{fields} ")?;
            }
        }
        let target = metadata.target();
        let area = target.strip_prefix("broker::").unwrap_or(target);
        write!(writer, "{}: ", area.split("::").next().unwrap_or(area))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as u64)
}

/// A time in ms since 1970 as `2026-11-22T13:07:48.123Z`.
pub fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = ((unix_ms / 86_400_000) as i64, unix_ms % 86_400_000);
    let (year, month, day) = super::consume::civil_from_days(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(1_795_352_868_123), "2026-11-22T13:07:48.123Z");
        assert_eq!(timestamp(951_782_399_999), "2000-02-28T23:59:59.999Z");
    }
}
