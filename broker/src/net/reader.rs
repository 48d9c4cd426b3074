//! Takes frames off a connection's socket and starts their requests.
//!
//! Produce and Fetch start here, in order, and go on in tasks of their own; every other request runs
//! alone, after all before it are answered and before the next is read. Nothing a peer sends panics:
//! what cannot be answered with an error ends the connection with one log line.

use std::rc::Rc;

use bytes::Bytes;
use engine::buffer::{self, Slice};
use engine::sync::Permit;
use engine::task::{self, Queue};
use engine::time;
use protocol::frame::{Frame, FrameReader};
use protocol::header::{HeaderError, RequestHeader, answers_unsupported_version};
use protocol::{ApiKey, api_versions};

use super::connection::{Connection, Request};
use super::either::{Either, either};
use crate::api::fetch::Fetch;
use crate::api::produce::{self, Finished};
use crate::api::table::{self, Asked};
use crate::limits::REQUEST_MEMORY_DIVISOR;
use crate::observe::{Stage, Timed, Trace};
use crate::shard::Shard;

/// Why no more is read from a connection.
pub enum End {
    /// The peer closed it, or it broke, or it was closed here.
    Closed,
    /// The broker stops.
    Finished,
    /// The peer sent what cannot be answered.
    Complaint(String),
}

impl End {
    /// What to say about it in the log.
    pub fn complaint(&self) -> Option<&str> {
        match self {
            End::Complaint(words) => Some(words),
            End::Closed | End::Finished => None,
        }
    }

    /// Whether requests that came before still get their answers.
    pub fn lets_replies_leave(&self) -> bool {
        !matches!(self, End::Closed)
    }
}

/// One request's bytes, without the length prefix.
enum Body {
    /// Gathered by the frame reader.
    Small(Bytes),
    /// Received into a block of its own, with its part of the shard's memory for requests.
    Large(Slice, Permit),
}

/// Reads and starts requests until the connection ends.
pub(super) async fn read(shard: &Rc<Shard>, connection: &Rc<Connection>) -> End {
    match try_read(shard, connection).await {
        Ok(end) | Err(end) => end,
    }
}

async fn try_read(shard: &Rc<Shard>, connection: &Rc<Connection>) -> Result<End, End> {
    // The smaller limit before authentication comes with authentication: until then it would only
    // refuse clients whose first request on a connection is a large Produce.
    let mut frames = FrameReader::requests(shard.config.socket_request_max_bytes);
    loop {
        let chunk = match either(connection.stream.recv(), connection.closing()).await {
            Either::First(Ok(chunk)) if !chunk.is_empty() => chunk,
            Either::First(_) => return Ok(End::Closed),
            Either::Second(()) => return Ok(End::Finished),
        };
        let arrived = connection.on_received();
        let mut input = &chunk[..];
        loop {
            let found =
                frames.next(&mut input).map_err(|error| End::Complaint(error.to_string()))?;
            let mut trace = Trace::begin(match found {
                None => break,
                Some(_) => connection.on_frame_complete().unwrap_or(arrived),
            });
            trace.mark(Stage::Receive, arrived);
            let body = match found {
                None => break,
                Some(Frame::Small(bytes)) => {
                    shard.observed.copied_receive_bytes.add(bytes.len() as u64);
                    connection.room(bytes.len()).await;
                    Body::Small(bytes)
                }
                Some(Frame::Large { length, head }) => {
                    receive(shard, connection, length, head, &mut trace).await?
                }
            };
            if connection.is_finishing() {
                return Ok(End::Finished);
            }
            start(shard, connection, body, trace).await?;
        }
        if !frames.at_boundary() {
            connection.on_frame_begun(0, arrived);
        }
    }
}

/// Receives a large frame into a block of its own, once there is room for it.
async fn receive(
    shard: &Rc<Shard>,
    connection: &Rc<Connection>,
    length: usize,
    head: &[u8],
    trace: &mut Trace,
) -> Result<Body, End> {
    // The peer is not to blame for the time it waits for us: its frame is complete until there is room.
    connection.room(length).await;
    let share = (shard.config.shard_memory_bytes / REQUEST_MEMORY_DIVISOR) as u64;
    let permit = shard.request_memory.acquire((length as u64).min(share)).await;
    let Ok(permit) = permit else { return Err(End::Finished) };
    let Ok(mut block) = buffer::alloc(length).await else {
        let words = format!("a request of {length} bytes does not fit this shard's memory");
        return Err(End::Complaint(words));
    };
    block[..head.len()].copy_from_slice(head);
    shard.observed.copied_receive_bytes.add(head.len() as u64);
    if head.len() < length {
        let now = time::now();
        trace.mark(Stage::Queue, now);
        connection.on_frame_begun(length, now);
        let (received, filled) = connection.stream.recv_exact(block, head.len(), length).await;
        if received.is_err() {
            return Err(End::Closed);
        }
        block = filled;
        trace.mark(Stage::Receive, connection.on_received());
        connection.on_frame_complete();
    }
    Ok(Body::Large(block.freeze(length), permit))
}

/// Starts one request; everything but Produce and Fetch is also finished here.
async fn start(
    shard: &Rc<Shard>,
    connection: &Rc<Connection>,
    body: Body,
    mut trace: Trace,
) -> Result<(), End> {
    let bytes: &[u8] = match &body {
        Body::Small(bytes) => bytes,
        Body::Large(slice, _) => slice,
    };
    let asked = match RequestHeader::parse(bytes) {
        Ok(header) => Asked::from(&header),
        Err(HeaderError::UnsupportedVersion { api, correlation_id, .. })
            if answers_unsupported_version(api) =>
        {
            let request = connection.begin(bytes.len());
            request.answer(api_versions::unsupported_version(correlation_id));
            return Ok(());
        }
        Err(error) => return Err(End::Complaint(error.to_string())),
    };
    shard.observed.on_request(asked.key, size_of::<i32>() + bytes.len());
    let mut request = connection.begin(bytes.len());
    let malformed = |what: &dyn std::fmt::Display| {
        End::Complaint(format!("{:?} version {}: {what}", asked.key, asked.version))
    };
    match asked.key {
        ApiKey::Produce => {
            let frame = match body {
                Body::Small(bytes) => Slice::from_vec(bytes.into()),
                Body::Large(slice, permit) => {
                    request.hold(permit);
                    slice
                }
            };
            trace.mark(Stage::Queue, time::now());
            let started = produce::start(shard, asked, &frame, trace).await;
            let started = started.map_err(|error| malformed(&error))?;
            task::spawn(Queue::Produce, finish_produce(started, request));
        }
        ApiKey::Fetch => {
            let fetch = Fetch::begin(shard, asked, bytes).map_err(|error| malformed(&error))?;
            task::spawn(Queue::Fetch, run_fetch(fetch, shard.clone(), request, trace));
        }
        _ => {
            let bytes = match body {
                Body::Small(bytes) => bytes,
                Body::Large(slice, permit) => {
                    request.hold(permit);
                    Bytes::copy_from_slice(&slice)
                }
            };
            connection.before(&request).await;
            let answer = table::answer(shard, connection.listener, asked, bytes).await;
            request.answer(answer.map_err(|error| malformed(&error))?);
        }
    }
    Ok(())
}

async fn finish_produce(started: produce::Started, mut request: Request) {
    let (finished, trace) = started.finish().await;
    request.time(Timed::Produce, trace);
    match finished {
        Finished::Answer(frame) => request.answer(frame),
        Finished::Silent => request.answer_nothing(),
        Finished::Close => request.fail(),
    }
}

async fn run_fetch(fetch: Fetch, shard: Rc<Shard>, mut request: Request, mut trace: Trace) {
    let reply = fetch.run(shard, request.connection().clone(), &mut trace).await;
    request.time(Timed::Fetch, trace);
    request.answer(reply);
}
