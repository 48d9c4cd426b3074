//! `heddle bench report`: kept results again, as tables and as a page.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use super::args::{Io, print};
use super::place;
use crate::error::BenchError;
use crate::report;
use crate::result::model::Report;
use crate::result::{keep, table};

/// Opens a file with what the desktop has for it.
const OPENER: &str = "xdg-open";

/// Arguments of `heddle bench report`.
#[derive(Debug, Args)]
#[command(after_help = "\
EXAMPLES:
  heddle bench report base --open                  the table, and the page in a browser
  heddle bench report base new -o both.html        percentile curves on one another
  heddle bench report ./runs/base -o - > page.html the page alone

Of one result the page is written beside it, over the one that is there; of several, only where -o says.")]
pub struct ReportArgs {
    /// What `bench run --save` was given: names or directories; or a result.json
    #[arg(value_name = "RESULT", required = true)]
    results: Vec<String>,

    /// Write the page here; `-` for standard output, without the tables
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Open the page in a browser
    #[arg(long)]
    open: bool,
}

/// Runs the command.
///
/// # Errors
/// A result cannot be read, or the page cannot be written or opened.
pub fn run(args: &ReportArgs, io: &Io) -> Result<u8, BenchError> {
    let places: Vec<PathBuf> = args.results.iter().map(|text| place::to_read(text)).collect();
    let reports: Result<Vec<Report>, _> = places.iter().map(|path| keep::load(path)).collect();
    let reports = reports?;
    if args.output.as_deref() == Some(Path::new("-")) {
        if args.open {
            return Err(BenchError::usage("a page on standard output cannot be opened")
                .fix("give -o a file, or leave --open out"));
        }
        // A reader that went away is not an error.
        let _ = std::io::stdout().write_all(report::html(&reports).as_bytes());
        return Ok(0);
    }
    let page = page_of(args, &places)?;
    if let Some(page) = &page {
        fs::write(page, report::html(&reports)).map_err(|error| {
            BenchError::failed(format!("cannot write {}: {error}", page.display()))
                .fix("name another file with -o")
        })?;
    }
    show(&places, &reports, io)?;
    match &page {
        Some(page) => io.say(&format!("page  {}", page.display())),
        None => io.say("no page: name it with -o FILE"),
    }
    match page {
        Some(page) if args.open => open(&page).map(|()| 0),
        _ => Ok(0),
    }
}

/// Where the page goes; `None` for nowhere.
fn page_of(args: &ReportArgs, places: &[PathBuf]) -> Result<Option<PathBuf>, BenchError> {
    match (&args.output, places) {
        (Some(file), _) => Ok(Some(file.clone())),
        (None, [one]) if one.is_dir() => Ok(Some(one.join(keep::PAGE))),
        (None, [one]) => Ok(Some(one.with_file_name(keep::PAGE))),
        (None, _) if args.open => {
            Err(BenchError::usage("the page of several results has no place of its own")
                .fix("name it with -o FILE"))
        }
        (None, _) => Ok(None),
    }
}

fn show(places: &[PathBuf], reports: &[Report], io: &Io) -> Result<(), BenchError> {
    if io.json {
        let text = match reports {
            [one] => serde_json::to_string(one),
            several => serde_json::to_string(several),
        };
        print(&text.map_err(BenchError::failed)?);
        return Ok(());
    }
    for (number, (path, report)) in places.iter().zip(reports).enumerate() {
        if reports.len() > 1 {
            let gap = if number > 0 { "\n" } else { "" };
            print(&format!("{gap}result    {}", path.display()));
        }
        print(table::text(report).trim_end());
    }
    Ok(())
}

fn open(page: &Path) -> Result<(), BenchError> {
    let shown = page.display();
    let mut opener = Command::new(OPENER);
    opener.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let opened = opener.status();
    let why = match opened {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("{OPENER} ended with {status}"),
        Err(error) => format!("{OPENER}: {error}"),
    };
    Err(BenchError::failed(format!("cannot open {shown}"))
        .why(why)
        .fix("open the file in a browser"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_one_result_lies_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().to_string_lossy();
        let page = |results: &[&str], output: Option<&str>, open: bool| {
            let places: Vec<_> = results.iter().map(PathBuf::from).collect();
            let output = output.map(PathBuf::from);
            page_of(&ReportArgs { results: Vec::new(), output, open }, &places)
        };
        let check = |results: &[&str], output: Option<&str>, expected: Option<&str>| {
            let page = page(results, output, false).expect("a place");
            assert_eq!(page, expected.map(PathBuf::from));
        };
        check(&[&dir], None, Some(&format!("{dir}/report.html")));
        check(&["x/result.json"], None, Some("x/report.html"));
        check(&["x/result.json"], Some("y.html"), Some("y.html"));
        check(&["a", "b"], None, None);
        check(&["a", "b"], Some("y.html"), Some("y.html"));
        assert!(page(&["a", "b"], None, true).is_err(), "there is nothing to open");
    }
}
