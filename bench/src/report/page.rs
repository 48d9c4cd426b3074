//! The page: what stands where.

use super::escape::escape;
use super::percentile_curve::{self, Curve};
use super::timeline::Timeline;
use super::{client_spread, facts, headline, heat_map, processor_time, stage_bars, throughput};
use crate::latency::Latencies;
use crate::result::model::{Report, Run};
use crate::result::whole::Whole;
use crate::result::{stages, table, workload};

/// Nothing is fetched: not by the page, and not by what could have crept into it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// A result on the page.
pub struct Shown<'a> {
    /// The result.
    pub report: &'a Report,
    /// Its runs together.
    pub whole: Whole,
    /// `A`, `B`, .. among several.
    letter: Option<char>,
}

impl<'a> Shown<'a> {
    /// The letter and what tells it from the others.
    pub fn name(&self) -> String {
        let provenance = &self.report.provenance;
        let of = provenance.gitref.clone().or_else(|| provenance.remark.clone());
        let of = of.unwrap_or_else(|| provenance.revision.clone());
        let name = if of.is_empty() { self.report.plan.name.clone() } else { of };
        match self.letter {
            Some(letter) => format!("{letter} · {name}"),
            None => name,
        }
    }

    /// The class of durability in force, if the broker told it and all runs agree.
    pub fn durability(&self) -> Option<&'a str> {
        table::durability(&self.report.runs)
    }

    /// The latencies that were measured.
    pub fn kinds(&self) -> Vec<(&'static str, &Latencies)> {
        let all = [
            ("produce ack", &self.whole.response),
            ("service", &self.whole.service),
            ("end to end", &self.whole.end_to_end),
        ];
        all.into_iter().filter(|(_, latencies)| latencies.count() > 0).collect()
    }
}

/// One page for one or several results. Of several, the curves lie on one another, and the rest follows for each.
pub fn html(reports: &[Report]) -> String {
    let several = reports.len() > 1;
    let shown: Vec<_> = reports
        .iter()
        .zip('A'..)
        .map(|(report, letter)| Shown {
            report,
            whole: Whole::of(report),
            letter: several.then_some(letter),
        })
        .collect();
    let body = match shown.as_slice() {
        [] => "<main><p>No results.</p></main>".to_owned(),
        [one] => single(one),
        all => comparison(all),
    };
    let title = match shown.as_slice() {
        [one] => format!("{} · heddle bench", one.report.plan.name),
        all => format!("{} results · heddle bench", all.len()),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title>\
         <style>{}</style></head><body>{body}<script>{}</script></body></html>\n",
        escape(&title),
        include_str!("page.css"),
        include_str!("page.js"),
    )
}

fn single(shown: &Shown) -> String {
    let mut html = String::from("<main>");
    html += &header(shown);
    html += &facts::doubts(shown);
    html += &headline::tiles(shown);
    html += "<section><h2>Latency</h2>";
    html += &headline::latencies(shown);
    html += &headline::runs(shown);
    html += &percentile_curve::curves(
        "Latency by percentile",
        "Where a line is faint, fewer than ten operations lie beyond.",
        &kinds_of(shown),
    );
    html += "</section>";
    html += &details(shown);
    html + &footer() + "</main>"
}

fn comparison(all: &[Shown]) -> String {
    let mut html = String::from("<main><header><p class=\"brand\">heddle bench</p>");
    html += &format!("<h1>{} results beside each other</h1></header>", all.len());
    html += "<section><h2>Figures</h2>";
    html += &headline::comparison(all);
    html += "</section><section><h2>Latency by percentile</h2>";
    type Kind = fn(&Whole) -> &Latencies;
    type OfRun = fn(&Run) -> &Latencies;
    let kinds: [(&str, Kind, OfRun); 3] = [
        ("Produce acknowledgement", |whole| &whole.response, |run| &run.response),
        ("Service", |whole| &whole.service, |run| &run.service),
        ("End to end", |whole| &whole.end_to_end, |run| &run.end_to_end),
    ];
    for (title, of, of_run) in kinds {
        let curves: Vec<_> = all
            .iter()
            .enumerate()
            .filter(|(_, shown)| of(&shown.whole).count() > 0)
            .map(|(number, shown)| Curve {
                name: shown.name(),
                words: String::new(),
                class: format!("c{}{}", number % 7 + 1, ["", " dash", " dots"][number % 3]),
                latencies: of(&shown.whole).clone(),
                runs: several_of(&shown.report.runs, of_run),
            })
            .collect();
        if !curves.is_empty() {
            let words = "Thin lines are single runs. Where a line is faint, fewer than ten operations lie beyond.";
            html += &percentile_curve::curves(title, words, &curves);
        }
    }
    html += "</section>";
    for shown in all {
        html += &format!("<article><h2 class=\"result\">{}</h2>", escape(&shown.name()));
        html += &header(shown);
        html += &facts::doubts(shown);
        html += &headline::tiles(shown);
        html += &headline::latencies(shown);
        html += &headline::runs(shown);
        html += &details(shown);
        html += "</article>";
    }
    html + &footer() + "</main>"
}

fn header(shown: &Shown) -> String {
    let report = shown.report;
    let tag =
        |class: &str, words: &str| format!("<span class=\"tag {class}\">{}</span>", escape(words));
    let mut html = String::from("<header>");
    if shown.letter.is_none() {
        html += "<p class=\"brand\">heddle bench</p>";
        html += &format!("<h1>{}</h1>", escape(&report.plan.name));
    }
    html += &format!("<p class=\"workload\">{}</p>", escape(&workload::asked(&report.plan)));
    for words in workload::besides(&report.plan) {
        html += &format!("<p class=\"workload\">beside {}</p>", escape(&words));
    }
    html += "<p class=\"tags\">";
    html += &match (shown.whole.audit.passed(), shown.whole.audit.checked) {
        (false, _) => tag("bad", "✗ audit failed"),
        (true, 0) => tag("", "nothing audited"),
        (true, _) => tag("good", "✓ audit passed"),
    };
    let durability = shown
        .durability()
        .map_or("durability not told".to_owned(), |class| format!("durability {class}"));
    html += &tag("", &durability);
    if workload::saturates(&report.plan) {
        html += &tag("bad", workload::SATURATION);
    }
    let began = report.runs.first().map_or(0, |run| run.began_unix_ms);
    let runs = crate::result::figures::plural(report.runs.len() as u64, "run");
    let measured =
        format!("{runs}, {} s measured", crate::result::figures::short(shown.whole.seconds));
    html += &tag("", &measured);
    for words in [facts::time(began), report.provenance.remark.clone().unwrap_or_default()] {
        if !words.is_empty() {
            html += &tag("", &words);
        }
    }
    html + "</p></header>"
}

fn kinds_of(shown: &Shown) -> Vec<Curve> {
    let runs = &shown.report.runs;
    let curves = shown.kinds().into_iter().map(|(name, latencies)| {
        let (class, runs, words) = match name {
            "produce ack" => {
                ("c1", several_of(runs, |run| &run.response), "from the intended send time")
            }
            "service" => {
                ("c2 dash", several_of(runs, |run| &run.service), "from the sending of the request")
            }
            _ => ("c3 dots", several_of(runs, |run| &run.end_to_end), "until a consumer has it"),
        };
        Curve {
            name: name.to_owned(),
            words: words.to_owned(),
            class: class.to_owned(),
            latencies: latencies.clone(),
            runs,
        }
    });
    curves.collect()
}

/// Each of several runs; of a single one nothing, as it is the whole.
fn several_of(runs: &[Run], of: impl Fn(&Run) -> &Latencies) -> Vec<Latencies> {
    if runs.len() < 2 { Vec::new() } else { runs.iter().map(|run| of(run).clone()).collect() }
}

fn details(shown: &Shown) -> String {
    let runs = &shown.report.runs;
    let timeline = Timeline::of(runs);
    let mut html = String::new();
    if !timeline.columns.is_empty() {
        html += "<section><h2>Second by second</h2>";
        let seconds = timeline.columns.iter().map(|column| column.seconds).max().unwrap_or(1);
        let each = if seconds > 1 { format!("{seconds} seconds") } else { "a second".to_owned() };
        let words = format!(
            "Each column is {each}, each row a range of latency; the stronger the colour, the more operations."
        );
        html += &heat_map::map("Produce ack over time", &words, &timeline, runs.len(), |second| {
            &second.response
        });
        html += &heat_map::map("End to end over time", &words, &timeline, runs.len(), |second| {
            &second.end_to_end
        });
        html += &throughput::chart(&timeline, runs.len(), shown.report.plan.fan_out);
        html += &processor_time::chart(&timeline, runs.len());
        html += "</section>";
    }
    let apis = stages::apis(runs);
    if !apis.is_empty() {
        html += "<section><h2>In the broker</h2>";
        html += &apis
            .iter()
            .map(|api| stage_bars::chart(api, &stages::shards(runs, &api.name)))
            .collect::<String>();
        html += "</section>";
    }
    let clients = client_spread::chart(runs);
    if !clients.is_empty() {
        html += &format!("<section><h2>Clients</h2>{clients}</section>");
    }
    html += "<section><h2>Circumstances</h2>";
    html += &facts::audit(shown);
    html += &facts::all(shown);
    html + "</section>"
}

fn footer() -> String {
    "<footer><p>Latencies are open loop: they count from the moment a record was meant to be sent, whether or not the one before \
     it was answered. Histograms of clients, seconds and runs are merged, which is exact; no percentile is an average. A \
     percentile with fewer than ten operations beyond it is n/a. <code>result.json</code> beside this page has every \
     histogram whole; <code>.hgrm</code> and <code>.hlog</code> are for HdrHistogram’s tools.</p></footer>"
        .to_owned()
}
