//! What must be known beside the figures: doubts, the audit, what was asked, the broker, the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use super::escape::{count, escape, latency, typeset};
use super::page::Shown;
use crate::provenance::Provenance;
use crate::result::figures::{bytes, plural, short};
use crate::result::table::wrong;
use crate::result::{doubts, figures, workload};

/// Why the figures should not be trusted. Nothing where nothing speaks against them.
pub fn doubts(shown: &Shown) -> String {
    let doubts = doubts::merged(&shown.report.runs);
    if doubts.is_empty() {
        return String::new();
    }
    let title = plural(doubts.len() as u64, "doubt");
    let mut html = format!("<div class=\"box doubt\"><h3>{}</h3><ul>", escape(&title));
    for doubt in &doubts {
        let (words, about) = (escape(&doubt.words), escape(&doubt.about));
        html += &format!("<li>{words} <code>{about}</code></li>");
    }
    html + "</ul></div>"
}

/// What the delivery audit found.
pub fn audit(shown: &Shown) -> String {
    let audit = &shown.whole.audit;
    let (class, title, words) = if !audit.passed() {
        let words = format!("Of {} records: {}.", count(audit.expected), wrong(audit));
        ("failed", "Delivery audit failed", words)
    } else if audit.checked == 0 {
        ("quiet", "Delivery audit", "Nothing was consumed, so nothing could be checked.".to_owned())
    } else {
        let records = typeset(&plural(audit.checked, "record"));
        let words = format!("{records} seen once by each set of consumers, in order, unaltered.");
        ("passed", "Delivery audit passed", words)
    };
    let mut html = format!("<div class=\"box {class}\"><h3>{title}</h3><p>{}</p>", escape(&words));
    if audit.unacknowledged_seen > 0 {
        let records = plural(audit.unacknowledged_seen, "record");
        html += &format!("<p>{} seen though given up: counted, not a fault.</p>", escape(&records));
    }
    if !audit.faults.is_empty() {
        html += "<ul>";
        for fault in &audit.faults {
            html += &format!("<li>{}</li>", escape(fault));
        }
        html += "</ul>";
    }
    html + "</div>"
}

/// Everything else, in columns of names and values.
pub fn all(shown: &Shown) -> String {
    let report = shown.report;
    let mut html = String::from("<div class=\"facts\">");
    let settings = workload::settings(&report.plan).into_iter();
    html +=
        &list("What was asked", settings.map(|(name, value)| (name.to_owned(), value)).collect());
    html += &list("Broker", broker(shown));
    html += &list("Counts", counts(shown));
    html += &list("Generator", generator(shown));
    html += &beside(shown);
    html += &list("Machine", machine(&report.provenance));
    html += &list("Origin", origin(shown));
    html + "</div>"
}

fn list(title: &str, rows: Vec<(String, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut html = format!("<section class=\"fact\"><h3>{}</h3><dl>", escape(title));
    for (name, value) in rows {
        html += &format!("<dt>{}</dt><dd>{}</dd>", escape(&name), escape(&value));
    }
    html + "</dl></section>"
}

fn broker(shown: &Shown) -> Vec<(String, String)> {
    let Some(last) = shown.report.runs.last().map(|run| &run.broker) else { return Vec::new() };
    let milliseconds = |ms: Option<f64>| ms.map_or(String::new(), |ms| latency(ms * 1e6));
    let mut rows = vec![
        ("software".to_owned(), last.software.clone().unwrap_or_default()),
        (
            "durability in force".to_owned(),
            shown.durability().unwrap_or("not told by the broker").to_owned(),
        ),
        ("start to first answer".to_owned(), milliseconds(last.start_ms)),
        ("after kill -9".to_owned(), milliseconds(last.restart_ms)),
    ];
    rows.extend(last.settings.iter().map(|(name, value)| (name.clone(), value.clone())));
    let requests = shown.whole.totals.requests + shown.whole.totals.fetches;
    for (name, grown) in &shown.whole.counters {
        let each = match requests {
            0 => String::new(),
            requests => format!(" ({} a request)", short(*grown as f64 / requests as f64)),
        };
        rows.push((name.replace('_', " "), count(*grown) + &each));
    }
    rows
}

fn counts(shown: &Shown) -> Vec<(String, String)> {
    let totals = &shown.whole.totals;
    let batch = match totals.requests {
        0 => String::new(),
        requests => bytes(totals.batch_bytes as f64 / requests as f64),
    };
    let rows = [
        ("measured", seconds(shown.whole.seconds)),
        ("records intended", count(totals.intended)),
        ("acknowledged", count(totals.acknowledged)),
        ("consumed", count(totals.consumed)),
        ("produce requests", count(totals.requests)),
        ("batch bytes in each", batch),
        ("fetches answered", count(totals.fetches)),
        ("backlog at most", count(totals.backlog_max)),
        ("given up", count(totals.failed)),
        ("sent again", count(totals.retries)),
        ("without an answer in time", count(totals.timeouts)),
        ("connections opened again", count(totals.reconnects)),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn generator(shown: &Shown) -> Vec<(String, String)> {
    let generator = &shown.whole.generator;
    let per_gb = shown.whole.seconds_per_gb(generator.cpu_seconds);
    let rows = [
        ("threads", count(generator.threads.into())),
        ("busiest thread", figures::share(generator.busiest_share)),
        ("CPU", format!("{} cores", short(shown.whole.cores(generator.cpu_seconds)))),
        ("CPU per GB", per_gb.map_or(String::new(), |cost| format!("{} s", short(cost)))),
        ("more than 1 ms late", format!("{} of the records", figures::share(generator.slipped))),
        ("late at most", latency(generator.slip_max_ns as f64)),
        ("clock jumps", count(generator.clock_jumps)),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn beside(shown: &Shown) -> String {
    // Of several runs the figures stand one after the other.
    let mut found: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for (name, figures) in shown.report.runs.iter().flat_map(|run| &run.beside) {
        for (figure, value) in figures {
            let words = typeset(&figures::number(*value));
            found.entry(name).or_default().entry(figure).or_default().push(words);
        }
    }
    let lists = found.into_iter().map(|(name, figures)| {
        let row =
            |(figure, values): (&str, Vec<String>)| (figure.replace('_', " "), values.join(", "));
        list(&format!("Beside: {name}"), figures.into_iter().map(row).collect())
    });
    lists.collect()
}

fn machine(provenance: &Provenance) -> Vec<(String, String)> {
    let number = |number: usize| if number == 0 { String::new() } else { number.to_string() };
    let memory = match provenance.memory_bytes {
        0 => String::new(),
        memory => bytes(memory as f64),
    };
    let colocated = match provenance.colocated {
        Some(true) => "on the same machine",
        Some(false) => "on another machine",
        None => "",
    };
    let rows = [
        ("processor", provenance.processor.clone()),
        ("cores that may be used", number(provenance.cores)),
        ("SMT", provenance.smt.clone()),
        ("NUMA nodes", number(provenance.numa_nodes)),
        ("frequency governor", provenance.governor.clone()),
        ("memory", memory),
        ("machine", provenance.machine.clone()),
        ("kernel", provenance.kernel.clone()),
        ("clock", provenance.clock_source.clone()),
        ("limits", provenance.limits.join("; ")),
        ("file system", provenance.file_system.clone()),
        ("mounted with", provenance.mount_options.replace(',', ", ")),
        ("device", [&*provenance.device, &*provenance.device_model].join(" ").trim().to_owned()),
        ("its queue", provenance.device_queue.clone()),
        ("load before", format!("{:.2}", provenance.load_before)),
        ("generator and broker", colocated.to_owned()),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn origin(shown: &Shown) -> Vec<(String, String)> {
    let provenance = &shown.report.provenance;
    let began = shown.report.runs.first().map_or(0, |run| run.began_unix_ms);
    let rows = [
        ("began", time(began)),
        ("revision", provenance.revision.clone()),
        ("reference", provenance.gitref.clone().unwrap_or_default()),
        ("remark", provenance.remark.clone().unwrap_or_default()),
        ("build", provenance.build.clone()),
        ("command", provenance.command.join(" ")),
        ("format", shown.report.format.to_string()),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn seconds(seconds: f64) -> String {
    typeset(&format!("{} s", short(seconds)))
}

/// A moment in UTC: `2026-11-18 10:26:40 UTC`; empty at 0.
pub fn time(unix_ms: u64) -> String {
    if unix_ms == 0 {
        return String::new();
    }
    let since = Duration::from_millis(unix_ms).as_secs();
    let (days, second) = (since / 86_400, since % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's `civil_from_days`, for days from 1970 on).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let check = |unix_s: u64, expected: &str| assert_eq!(time(unix_s * 1000), expected);
        check(1, "1970-01-01 00:00:01 UTC");
        check(951_782_400, "2000-02-29 00:00:00 UTC");
        check(1_704_067_199, "2023-12-31 23:59:59 UTC");
        check(1_795_000_000, "2026-11-18 11:06:40 UTC");
        assert_eq!(time(0), "");
    }
}
