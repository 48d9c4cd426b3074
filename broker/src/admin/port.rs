//! The listening socket of the admin port and its connections.

use std::cell::Cell;
use std::rc::Rc;

use engine::buffer::Piece;
use engine::net::{Listener, Stream};
use engine::task::{self, Queue};
use engine::time;

use super::http::{self, Parsed, Request, Response, Status};
use super::pages::Admin;
use crate::limits::{
    ACCEPT_RETRY, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_MAX, ADMIN_IDLE_MAX, ADMIN_SEND_MAX,
};

/// Accepts until the task is cancelled. What comes while the most connections are open is closed at once.
pub async fn run(admin: Rc<Admin>, listener: Listener) {
    let open = Rc::new(Cell::new(0));
    loop {
        match listener.accept().await {
            Ok(accepted) if open.get() < ADMIN_CONNECTIONS_MAX => {
                let place = Place::take(&open);
                let (admin, stream) = (admin.clone(), accepted.into_stream());
                task::spawn(Queue::Background, async move {
                    serve(&admin, &stream).await;
                    let _ = time::timeout(ADMIN_SEND_MAX, stream.close()).await;
                    drop(place);
                });
            }
            // Dropping it closes it.
            Ok(_refused) => {}
            Err(_) => time::sleep(ACCEPT_RETRY).await,
        }
    }
}

/// One of the connections that may be open.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Place {
        open.set(open.get() + 1);
        Place(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Answers the requests of one connection, one after the other, in their order.
async fn serve(admin: &Admin, stream: &Stream) {
    let mut received = Vec::new();
    loop {
        let request = match next(stream, &mut received).await {
            Ok(request) => request,
            Err(None) => return,
            Err(Some(status)) => {
                send(stream, Response::of(status), false, false).await;
                return;
            }
        };
        let response = admin.answer(&request).await;
        if !send(stream, response, request.is_head, request.keep_alive).await || !request.keep_alive
        {
            return;
        }
    }
}

/// The next request; or what to answer before the connection is closed, if anything.
async fn next(stream: &Stream, received: &mut Vec<u8>) -> Result<Request, Option<Status>> {
    let mut deadline = match received.is_empty() {
        true => time::now() + ADMIN_IDLE_MAX,
        false => time::now() + ADMIN_HEAD_MAX,
    };
    loop {
        match http::parse(received) {
            Parsed::Request(request, length) => {
                received.drain(..length);
                return Ok(request);
            }
            Parsed::Refused(status) => return Err(Some(status)),
            Parsed::Incomplete => {}
        }
        let left = deadline.since(time::now());
        match time::timeout(left, stream.recv()).await {
            Ok(Ok(chunk)) if !chunk.is_empty() => {
                if received.is_empty() {
                    deadline = time::now() + ADMIN_HEAD_MAX;
                }
                received.extend_from_slice(&chunk);
            }
            Ok(_) => return Err(None),
            Err(_) if received.is_empty() => return Err(None),
            Err(_) => return Err(Some(Status::TimedOut)),
        }
    }
}

/// Sends a response, without its body if that was asked for. False when the peer does not take it in time.
async fn send(stream: &Stream, response: Response, is_head: bool, keep_alive: bool) -> bool {
    let mut pieces = vec![Piece::Vec(response.head(keep_alive))];
    if !is_head && !response.body.is_empty() {
        pieces.push(Piece::Vec(response.body));
    }
    let sent = async {
        stream.send(pieces).await?;
        stream.flush().await
    };
    matches!(time::timeout(ADMIN_SEND_MAX, sent).await, Ok(Ok(())))
}
