//! The client: sends a request, takes its response. It does as little as it can, because it is counted too.

use std::io;

use bytes::Bytes;
use engine::buffer::Piece;
use engine::net::Stream;
use protocol::client::{FetchAnswer, ProduceAnswer};

use crate::case::{Case, FETCH_VERSION, Kind, PRODUCE_VERSION};

/// Sends a request frame and takes the response in. Returns its bytes without the length prefix.
pub async fn ask(stream: &Stream, request: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut response = Vec::new();
    exchange(stream, request, |bytes| response.extend_from_slice(bytes)).await?;
    Ok(response.split_off(4))
}

/// Sends a request frame and lets the response go. Returns its length, length prefix included.
pub async fn ask_quietly(stream: &Stream, request: Vec<u8>) -> io::Result<usize> {
    exchange(stream, request, |_| ()).await
}

async fn exchange(
    stream: &Stream,
    request: Vec<u8>,
    mut take: impl FnMut(&[u8]),
) -> io::Result<usize> {
    stream.send(vec![Piece::Vec(request)]).await?;
    let mut have = 0;
    let mut length = usize::MAX;
    while have < length {
        let chunk = stream.recv().await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if have == 0 {
            let prefix = chunk.first_chunk().expect("the kernel delivers a prefix in one piece");
            length = 4 + u32::from_be_bytes(*prefix) as usize;
        }
        have += chunk.len();
        take(&chunk);
    }
    Ok(have)
}

/// What is wrong with a response, if anything: a path that answers with an error is not the path.
pub fn check(case: &Case, response: Vec<u8>) -> Result<(), String> {
    let frame = Bytes::from(response);
    let fault = match case.kind {
        Kind::Produce { .. } => {
            let answer = ProduceAnswer::decode(PRODUCE_VERSION, 1, &frame);
            let answer = answer.map_err(|error| error.to_string())?;
            answer.partitions.iter().find(|p| !p.error.is_none()).map(|p| format!("{:?}", p.error))
        }
        Kind::Fetch { .. } => {
            let answer = FetchAnswer::decode(FETCH_VERSION, 1, &frame);
            let answer = answer.map_err(|error| error.to_string())?;
            let all = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let bytes: usize = all.clone().map(|partition| partition.records.len()).sum();
            let refused = all.clone().find(|p| !p.error.is_none());
            match refused {
                Some(partition) => Some(format!("{:?}", partition.error)),
                None if bytes != case.bytes() => Some(format!("{bytes} bytes of records")),
                None => None,
            }
        }
    };
    fault.map_or(Ok(()), |fault| Err(format!("{}: the answer has {fault}", case.name)))
}
