//! The program that valgrind runs: every case in rounds, with a mark before and after each.
//!
//! Under valgrind one thread runs at a time, and a thread that sleeps in the ring keeps all others from running
//! (3.19 does not know that io_uring_enter waits). A task that wakes the shard now and then and sleeps in a call
//! that valgrind knows lets the threads for blocking calls have their turn.

use std::cell::Cell;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::net::Stream;
use engine::shard::{Launch, block_on};
use engine::task::{self, Queue};
use engine::time;

use crate::case::Case;
use crate::client::{ask, ask_quietly, check};
use crate::stand::{Stand, topic_id};

/// The file that says what each part is of, beside the data: one line each, `part case`.
pub const PARTS: &str = "parts.tsv";

/// Between two turns of the other threads: while there is something to prepare, and while requests are counted.
const TURNS_PREPARING: Duration = Duration::from_micros(500);
const TURNS_COUNTING: Duration = Duration::from_millis(250);
/// How long a turn is.
const TURN: Duration = Duration::from_micros(200);

/// callgrind writes what it counted since the last call of this function into the next numbered file.
#[inline(never)]
pub fn round_boundary(part: usize) -> usize {
    black_box(part) + 1
}

/// Serves all cases, `rounds` times each, with data in `dir`, which must be new.
///
/// # Errors
/// When the shard cannot be started or an answer is not what it should be.
pub fn drive(dir: &Path, cases: &[Case], rounds: usize) -> Result<(), String> {
    let launch = Launch { registered_bytes_per_shard: 16 << 20, ..Launch::default() };
    let (data, cases) = (dir.join("data"), cases.to_vec());
    let parts = block_on(&launch, async move { serve(&data, &cases, rounds).await });
    let parts = parts.map_err(|error| error.to_string())??;
    let path = dir.join(PARTS);
    std::fs::write(&path, parts).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

async fn serve(data: &Path, cases: &[Case], rounds: usize) -> Result<String, String> {
    let every = Rc::new(Cell::new(TURNS_PREPARING));
    let _turns = task::spawn(Queue::Produce, let_others_run(every.clone()));
    let topics: Vec<usize> = cases.iter().map(|case| case.partitions(rounds)).collect();
    let stand = Stand::open(data, &topics).await?;
    let client = stand.connect().await.map_err(|error| error.to_string())?;
    let (mut part, mut parts) = (0, String::new());
    for (number, case) in cases.iter().enumerate() {
        let topic = topic_id(number).0;
        for request in (0..topics[number]).filter_map(|partition| case.fill(topic, partition)) {
            ask(&client, request).await.map_err(|error| error.to_string())?;
        }
        for round in 0..rounds {
            every.set(TURNS_PREPARING);
            for request in case.room(topic, round) {
                ask(&client, request).await.map_err(|error| error.to_string())?;
            }
            let expected = warm_up(&client, case, &case.request(topic, round)).await?;
            stand.settle().await;
            every.set(TURNS_COUNTING);
            let requests = vec![case.request(topic, round); case.requests];
            part = round_boundary(part);
            let taken = ask_all(&client, requests).await.map_err(|error| error.to_string())?;
            part = round_boundary(part);
            let _ = writeln!(parts, "{part}\t{}", case.name);
            let wanted = expected * case.requests;
            if taken != wanted {
                return Err(format!("{}: {taken} bytes of answers, not {wanted}", case.name));
            }
        }
    }
    Ok(parts)
}

async fn let_others_run(every: Rc<Cell<Duration>>) {
    loop {
        time::sleep(every.get()).await;
        std::thread::sleep(TURN);
    }
}

/// Asks once and looks at the answer. Returns its bytes.
async fn warm_up(client: &Stream, case: &Case, request: &[u8]) -> Result<usize, String> {
    let answer = ask(client, request.to_vec()).await.map_err(|error| error.to_string())?;
    let bytes = 4 + answer.len();
    check(case, answer)?;
    Ok(bytes)
}

async fn ask_all(client: &Stream, requests: Vec<Vec<u8>>) -> std::io::Result<usize> {
    let mut bytes = 0;
    for request in requests {
        bytes += ask_quietly(client, request).await?;
    }
    Ok(bytes)
}
