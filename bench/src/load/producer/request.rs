//! Produce requests: small parts around batches that are sent from where they lie.

use engine::buffer::{Piece, Slice};
use protocol::ApiKey;
use protocol::header::{begin_request, finish_frame};
use protocol::produce::TOPIC_IDS_FROM;
use protocol::wire::Writer;

use super::super::cluster::Layout;
use super::super::connection::CLIENT_ID;
use super::accumulate::Batch;
use crate::plan::Acks;

/// How long the broker may wait for its replicas, in milliseconds.
const REPLICAS_MS: i32 = 30_000;

/// What all requests of a connection share.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The version of Produce spoken.
    pub version: i16,
    /// Acknowledgements asked for.
    pub acks: Acks,
}

/// The request with these batches, at most one of each lane, which it sorts by lane.
pub fn encode(
    terms: Terms,
    correlation: i32,
    layout: &Layout,
    batches: &mut [Batch],
) -> Vec<Piece> {
    batches.sort_unstable_by_key(|batch| batch.lane);
    let api = ApiKey::Produce.api();
    let flexible = api.flexible(terms.version);
    let by_id = terms.version >= TOPIC_IDS_FROM;
    let topic_of = |batch: &Batch| layout.place(batch.lane as usize).0;
    let mut out = begin_request(api, terms.version, correlation, Some(CLIENT_ID));
    // Where each batch goes between the small parts.
    let mut cuts = Vec::with_capacity(batches.len());
    out.nullable_string(None, flexible);
    out.i16(match terms.acks {
        Acks::Zero => 0,
        Acks::One => 1,
        Acks::All => -1,
    });
    out.i32(REPLICAS_MS);
    let topics = batches.chunk_by(|a, b| topic_of(a) == topic_of(b));
    out.length(topics.clone().count(), flexible);
    for group in topics {
        let topic = &layout.topics[topic_of(&group[0])];
        out.topic(topic.named(by_id), flexible);
        out.length(group.len(), flexible);
        for batch in group {
            out.i32(layout.place(batch.lane as usize).1);
            out.length(batch.frame.len(), flexible);
            cuts.push(out.len());
            out.no_tags(flexible);
        }
        out.no_tags(flexible);
    }
    out.no_tags(flexible);
    let bytes = batches.iter().map(|batch| batch.frame.len()).sum();
    finish_frame(&mut out, bytes);
    let small = Slice::from_vec(out);
    let mut pieces = Vec::with_capacity(2 * batches.len() + 1);
    let mut from = 0;
    for (cut, batch) in cuts.into_iter().zip(batches) {
        if cut > from {
            pieces.push(Piece::Slice(small.slice(from..cut)));
        }
        pieces.push(Piece::Slice(batch.frame.clone()));
        from = cut;
    }
    if from < small.len() {
        pieces.push(Piece::Slice(small.slice(from..)));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::cluster::Topic;
    use protocol::client::{ProduceCall, ProduceCallPartition};

    fn batch(lane: u32, frame: &[u8]) -> Batch {
        let frame = Slice::from_vec(frame.to_vec());
        Batch { lane, first: 0, intended: vec![1], bytes: 1, frame, sent_first: 0 }
    }

    #[test]
    fn a_request_is_what_the_plain_encoder_makes() {
        let topic = |name: &str, id: u8| Topic { name: name.into(), id: [id; 16] };
        let layout = Layout {
            topics: vec![topic("warp", 7), topic("weft", 8)],
            partitions: 3,
            brokers: Default::default(),
            leaders: vec![0; 6],
        };
        for version in [3, 8, 9, 12, 13] {
            let terms = Terms { version, acks: Acks::All };
            let mut batches = vec![batch(4, b"four"), batch(0, b"nought"), batch(2, b"two")];
            let pieces = encode(terms, 5, &layout, &mut batches);
            let found: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
            let part = |index, records| ProduceCallPartition { index, records };
            let by_id = version >= TOPIC_IDS_FROM;
            let call = ProduceCall {
                transactional_id: None,
                acks: -1,
                timeout_ms: REPLICAS_MS,
                topics: vec![
                    (layout.topics[0].named(by_id), vec![part(0, b"nought"), part(2, b"two")]),
                    (layout.topics[1].named(by_id), vec![part(1, b"four")]),
                ],
            };
            assert_eq!(found, call.encode(version, 5, Some(CLIENT_ID)), "version {version}");
        }
    }
}
