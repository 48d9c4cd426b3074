//! The page: as text (nothing to fetch, no text that becomes markup, a table for each figure), and in a real browser.
//!
//! Chromium runs without a window. It must log nothing to its console, fetch nothing, and draw a page that has something on it
//! in light and dark, wide and narrow. Where it is missing the test says so; with `REQUIRE_CLIENTS=1` it fails.

mod made_up;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bench::latency::Latencies;
use bench::plan::Rate;
use bench::report::html;
use bench::result::model::{Client, Doubt, Report, Stage};
use made_up::Wish;

const HOSTILE: &str = "</title></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`&amp;\u{0}\u{202e}";

fn small() -> Report {
    made_up::report(&Wish { rate: 1_500, seconds: 6, ..Wish::default() })
}

/// A report with hostile text wherever there is text.
fn hostile() -> Report {
    let mut report = small();
    let text = || HOSTILE.to_owned();
    report.plan.name = text();
    report.plan.topic_config.insert(text(), text());
    let provenance = &mut report.provenance;
    for fact in [
        &mut provenance.revision,
        &mut provenance.build,
        &mut provenance.kernel,
        &mut provenance.machine,
        &mut provenance.processor,
        &mut provenance.file_system,
        &mut provenance.mount_options,
        &mut provenance.device,
        &mut provenance.device_queue,
    ] {
        *fact = text();
    }
    provenance.command = vec![text()];
    provenance.limits = vec![text()];
    provenance.gitref = Some(text());
    provenance.remark = Some(text());
    let run = &mut report.runs[0];
    run.audit.lost = 1;
    run.audit.faults = vec![text()];
    run.doubts.push(Doubt { about: text(), words: text() });
    run.beside.insert(text(), [(text(), 1.0)].into());
    run.broker.software = Some(text());
    run.broker.durability = Some(text());
    run.broker.settings.insert(text(), text());
    run.broker.counters.push([(text(), 1)].into());
    let latencies = run.response.clone();
    let stage = |stage: &str| Stage {
        shard: 0,
        api: text(),
        stage: stage.to_owned(),
        latencies: latencies.clone(),
        sum_ns: 1_000_000,
    };
    run.broker.stages.extend([stage("total"), stage(HOSTILE)]);
    run.timeline[0].broker_cpu_ns.insert(text(), 900_000_000);
    let by_second = Vec::new();
    run.clients.push(Client { name: text(), records: 1, bytes: 1, latencies, by_second });
    report
}

/// Names of all elements of a page, without what stands in `style` and `script`.
fn elements(page: &str) -> Vec<String> {
    let mut rest = page.to_owned();
    for name in ["style", "script"] {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let begin = rest.find(&open).expect("one of each") + open.len();
        let end = begin + rest[begin..].find(&close).expect("it ends");
        rest.replace_range(begin..end, "");
    }
    let tags = rest.split('<').skip(1).map(|tag| {
        let name = tag.split([' ', '>', '/']).next().unwrap_or_default();
        name.to_owned()
    });
    tags.filter(|name| !name.is_empty()).collect()
}

#[test]
fn text_of_a_result_never_becomes_markup() {
    for page in [html(&[hostile()]), html(&[hostile(), small()])] {
        let names: BTreeSet<String> = elements(&page).into_iter().collect();
        assert!(!names.contains("img"), "{names:?}");
        let scripts = elements(&page).iter().filter(|name| *name == "script").count();
        assert_eq!(scripts, 1, "the page's own");
        assert!(
            page.contains(
                "&lt;img src=x onerror=alert(2)&gt;&quot;&#39;`&amp;amp;\u{fffd}\u{fffd}"
            )
        );
        assert!(!page.contains('\0') && !page.contains('\u{202e}'));
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = html(&[small(), small()]);
    for word in
        ["http:", "https:", "//www", " src=", "href=", "url(", "@import", "<link", "<iframe"]
    {
        assert!(!page.contains(word), "{word} is in the page");
    }
    assert!(page.contains("default-src 'none'"), "and nothing else is let in");
}

#[test]
fn every_figure_has_a_title_words_and_a_table() {
    let mut report = made_up::report(&Wish { rate: 1_500, seconds: 6, runs: 2, ..Wish::default() });
    report.plan.fan_out = 2;
    let page = html(&[report]);
    let figures: Vec<&str> = page.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), 8, "curve, two maps, throughput, CPU, two APIs, clients");
    for figure in figures {
        let figure = figure.split("</figure>").next().unwrap_or_default();
        assert!(figure.contains("<figcaption><h3>"), "{figure:.200}");
        assert!(figure.contains("<details><summary>as a table</summary>"), "{figure:.200}");
        let drawings = figure.matches("role=\"img\" aria-label=\"").count();
        assert_eq!(drawings, 2, "a wide and a narrow one: {figure:.200}");
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure:.200}");
    }
}

#[test]
fn what_matters_stands_on_the_page() {
    let page = html(&[small()]);
    for words in [
        "small-requests",
        "durability device",
        "audit passed",
        "1 doubt",
        "produce ack p99",
        "ack.durability",
        "0123456789ab",
        "6.12.9-amd64",
        "AMD EPYC 9354",
        "ext4",
        "write back",
        "made up for a test",
        "catch-up reader",
        "Stages of a produce request",
        "shard-1",
        "consumer-0-1",
        "on the same machine",
    ] {
        assert!(page.contains(words), "{words} is missing");
    }
    assert!(!page.contains("not comparable"));
}

#[test]
fn odd_results_have_a_page_as_well() {
    let mut failed = small();
    failed.plan.rate = Rate::Max;
    failed.runs[0].audit.duplicated = 3;
    let page = html(&[failed]);
    assert!(page.contains("audit failed") && page.contains("3 duplicated"));
    assert!(page.contains("saturation: latency not comparable"));
    let mut nothing = small();
    nothing.runs = vec![Default::default()];
    assert!(html(&[nothing.clone()]).contains("nothing audited"));
    let mut one = nothing.clone();
    one.runs[0].response.record_ns(60_000_000_000, 1);
    one.runs[0].seconds = 1.0;
    one.runs[0].timeline = vec![Default::default()];
    one.runs[0].timeline[0].response.record_ns(0, 1);
    for page in [html(&[one.clone()]), html(&[one, nothing]), html(&[])] {
        assert!(!page.contains("NaN") && !page.contains("inf\""), "numbers are numbers");
    }
    let mut many = small();
    let latencies: Latencies = many.runs[0].response.clone();
    many.runs[0].clients = (0..500)
        .map(|number| Client {
            name: format!("producer-{number}"),
            records: 1,
            bytes: 1,
            latencies: latencies.clone(),
            by_second: Vec::new(),
        })
        .collect();
    assert!(html(&[many]).contains("The 16 with the longest p99 of 500 clients"));
}

/// Chromium, if it is here.
fn chromium() -> Option<&'static str> {
    let works = |name: &&str| {
        Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(works);
    if found.is_none() {
        let words = "Chromium is not on this machine; run tests/install-clients.sh";
        assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "{words}");
        eprintln!("not tested: {words}");
    }
    found
}

/// A proxy that forwards nothing and remembers what it was asked for.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || answer(stream, &log));
            }
        });
        Proxy { address, asked }
    }

    /// What was asked for, but for what the browser asks for itself whatever it shows.
    fn asked(&self) -> Vec<String> {
        let own = ["clients2.google.com", "update.googleapis.com", "accounts.google.com"];
        let asked = self.asked.lock().expect("nobody panicked").clone();
        asked.into_iter().filter(|line| !own.iter().any(|host| line.contains(host))).collect()
    }
}

fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>) {
    let mut line = String::new();
    let read =
        stream.try_clone().map(BufReader::new).and_then(|mut reader| reader.read_line(&mut line));
    if read.is_ok() {
        log.lock().expect("nobody panicked").push(line.trim().to_owned());
    }
    let _ = stream
        .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

/// What a page did in the browser.
struct Seen {
    asked: Vec<String>,
    console: Vec<String>,
}

/// Shows a page in a window of this size and takes a picture of it.
fn show(browser: &str, page: &Path, picture: &Path, dark: bool, size: (u32, u32)) -> Seen {
    let proxy = Proxy::start();
    let profile = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(browser);
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr"])
        .arg(format!("--proxy-server={}", proxy.address))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--window-size={},{}", size.0, size.1))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()));
    let output = command.output().expect("it was just there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    let console = said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Seen { asked: proxy.asked(), console }
}

/// A picture: its size, the colour of its corner, and how many colours it has.
fn look(picture: &Path) -> ((u32, u32), [u8; 3], usize) {
    let file = BufReader::new(fs::File::open(picture).expect("a picture was taken"));
    let mut reader = png::Decoder::new(file).read_info().expect("it is a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
    let frame = reader.next_frame(&mut pixels).expect("it is whole");
    let each = frame.color_type.samples();
    let colour = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2]];
    // Every eleventh pixel tells a picture from an empty page.
    let colours: BTreeSet<[u8; 3]> =
        pixels[..frame.buffer_size()].chunks(each).step_by(11).map(colour).collect();
    ((frame.width, frame.height), colour(&pixels), colours.len())
}

#[test]
fn a_browser_shows_the_page_and_fetches_nothing() {
    let Some(browser) = chromium() else { return };
    let temporary = tempfile::tempdir().expect("a directory");
    // HEDDLE_PICTURES=<directory> keeps pages and pictures for people.
    let kept = std::env::var_os("HEDDLE_PICTURES").map(PathBuf::from);
    let dir = kept.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(dir).expect("it can be made");
    let single = made_up::report(&Wish::default());
    let mut slower =
        made_up::report(&Wish { seed: 9, slower: 1.3, runs: 3, seconds: 20, ..Wish::default() });
    slower.provenance.gitref = Some("slower-branch".to_owned());
    let pages = [
        ("single", html(std::slice::from_ref(&single))),
        ("runs", html(std::slice::from_ref(&slower))),
        ("two", html(&[single, slower])),
        ("hostile", html(&[hostile()])),
    ];
    let (light, dark) = ([0xff, 0xff, 0xff], [0x14, 0x17, 0x1a]);
    for (name, page) in &pages {
        fs::write(dir.join(format!("{name}.html")), page).expect("it is written");
    }
    for (name, paper, size) in [
        ("single", light, (1200, 5400)),
        ("single", dark, (1200, 5400)),
        ("single", light, (400, 7400)),
        ("runs", dark, (400, 7400)),
        ("two", light, (1200, 3600)),
        ("hostile", light, (1200, 3600)),
    ] {
        let shade = if paper == dark { "dark" } else { "light" };
        let picture = dir.join(format!("{name}-{shade}-{}.png", size.0));
        let seen = show(browser, &dir.join(format!("{name}.html")), &picture, paper == dark, size);
        assert!(seen.console.is_empty(), "{name}: {:?}", seen.console);
        assert!(seen.asked.is_empty(), "{name}: {:?}", seen.asked);
        let (drawn, corner, colours) = look(&picture);
        assert_eq!(drawn, size, "{name}");
        assert_eq!(corner, paper, "{name} in {shade}");
        assert!(colours > 100, "{name} in {shade} has {colours} colours");
    }
}

/// What the test above would see if a page did fetch or fail.
#[test]
fn a_browser_tells_when_a_page_fetches_or_fails() {
    let Some(browser) = chromium() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let (page, picture) = (dir.path().join("page.html"), dir.path().join("page.png"));
    let check = |text: &str| {
        fs::write(&page, text).expect("it is written");
        show(browser, &page, &picture, false, (400, 300))
    };
    let seen = check("<img src=\"http://192.0.2.1/x.png\">");
    assert!(seen.asked.iter().any(|line| line.contains("192.0.2.1/x.png")), "{:?}", seen.asked);
    let seen = check("<script>nothing.at.all()</script>");
    assert!(!seen.console.is_empty(), "an error is logged");
    let (_, corner, colours) = look(&picture);
    assert_eq!((corner, colours), ([0xff; 3], 1), "an empty page is seen as one");
    let policy = html(&[]);
    let policy = policy.split("<title>").next().expect("a head");
    let seen = check(&format!("{policy}<body><img src=\"http://192.0.2.1/x.png\">"));
    assert!(seen.asked.is_empty(), "the policy holds: {:?}", seen.asked);
    assert!(!seen.console.is_empty(), "and says so");
}
