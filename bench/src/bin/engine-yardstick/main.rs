//! The engine's yardstick: TCP echo and core-to-core hops, ours beside blocking threads and glommio.
//!
//! All contenders live in this one process and take turns, round by round, so that whatever else the machine
//! does hits them alike. Servers run on one core, the client (plain blocking sockets) on
//! another; nobody spins. A contender that is not measured sleeps.

mod client;
mod figures;
#[cfg(feature = "glommio")]
mod glommio_host;
mod ours;
mod threads;

use clap::Parser;
use figures::{Echo, Hop, Hops};

/// Measures echo round trips and core hops.
#[derive(Parser)]
struct Args {
    /// Rounds; in each, every contender is measured once.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Echo requests per connection, contender and round.
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Connections at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    connections: Vec<usize>,
    /// Bytes in a request.
    #[arg(long, default_value_t = 64)]
    bytes: usize,
    /// Round trips of a hop per contender and round.
    #[arg(long, default_value_t = 5000)]
    hops: usize,
    /// Only these contenders, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print JSON alone.
    #[arg(long)]
    json: bool,
}

/// One that can be asked for an echo server and for hops.
struct Contender {
    name: &'static str,
    /// Starts its echo server on the server core.
    echo: fn() -> client::Server,
    /// Measures round trips between two threads.
    hop: fn(usize) -> Hops,
}

fn contenders() -> Vec<Contender> {
    vec![
        Contender { name: "threads", echo: threads::serve, hop: threads::hops },
        #[cfg(feature = "glommio")]
        Contender { name: "glommio", echo: glommio_host::serve, hop: glommio_host::hops },
        Contender { name: "heddle", echo: ours::serve, hop: ours::hops },
    ]
}

fn main() {
    let args = Args::parse();
    let mut contenders = contenders();
    contenders.retain(|c| args.only.is_empty() || args.only.iter().any(|o| o == c.name));
    let servers: Vec<client::Server> = contenders.iter().map(|c| (c.echo)()).collect();
    client::pin(client::CLIENT_CORE);

    let mut echoes: Vec<Echo> = Vec::new();
    for connections in &args.connections {
        let mut measured: Vec<Echo> =
            contenders.iter().map(|c| Echo::new(c.name, *connections)).collect();
        for round in 0..args.rounds {
            for i in 0..contenders.len() {
                // Nobody always follows the same neighbour.
                let i = (i + round) % contenders.len();
                client::measure(&servers[i], &mut measured[i], args.requests, args.bytes);
            }
        }
        echoes.extend(measured);
    }
    let mut hops: Vec<Hop> = Vec::new();
    if args.hops > 0 {
        hops.extend(contenders.iter().map(|c| Hop::new(c.name)));
        for _ in 0..args.rounds.min(10) {
            for (contender, hop) in contenders.iter().zip(&mut hops) {
                hop.add((contender.hop)(args.hops));
            }
        }
    }
    if !args.json {
        println!("{}", echo_table(&echoes));
        if !hops.is_empty() {
            println!("{}", hop_table(&hops));
        }
    }
    let json = serde_json::json!({
        "echo": echoes.iter_mut().map(Echo::json).collect::<Vec<_>>(),
        "hop": hops.iter_mut().map(Hop::json).collect::<Vec<_>>(),
    });
    println!("{json:#}");
}

fn echo_table(echoes: &[Echo]) -> String {
    let mut table = String::from(
        "| echo | connections | p50 us | p99 us | requests/s | server CPU us/request |\n\
         |---|---|---|---|---|---|\n",
    );
    for echo in echoes {
        let e = echo.summary();
        let cpu = e.cpu_us.map_or("-".to_owned(), |c| format!("{c:.2}"));
        table += &format!(
            "| {} | {} | {:.1} | {:.1} | {:.0} | {cpu} |\n",
            echo.name, echo.connections, e.p50_us, e.p99_us, e.per_second
        );
    }
    table
}

fn hop_table(hops: &[Hop]) -> String {
    let mut table = String::from(
        "| parked hop | p10 us | p50 us | p99 us | mean us | CPU us/hop |\n|---|---|---|---|---|---|\n",
    );
    for hop in hops {
        let h = hop.summary();
        let cpu = h.cpu_us.map_or("-".to_owned(), |c| format!("{c:.2}"));
        table += &format!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {cpu} |\n",
            hop.name, h.p10_us, h.p50_us, h.p99_us, h.mean_us
        );
    }
    table
}
