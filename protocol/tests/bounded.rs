//! Goal: no bytes make a decoder allocate more than a small multiple of their number. Method: the densest bodies (the
//! most elements or tags per byte that pass) are decoded under an allocator that counts, and what was allocated in
//! total, freed or not, is compared with the bound.
//!
//! A process of its own with a single test, because the counter is that of the whole process.

use std::alloc::System;

use bytes::Bytes;
use protocol::client::ProduceAnswer;
use protocol::fetch::FetchRequest;
use protocol::frame::FrameReader;
use protocol::guard;
use protocol::limits::{
    FRAME_BYTES_MAX, REQUEST_ELEMENTS_MAX, REQUEST_TAGS_MAX, SMALL_FRAME_BYTES_MAX,
};
use protocol::messages as m;
use protocol::produce::ProduceRequest;
use protocol::wire::Writer;
use protocol::{ApiKey, decode_request};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What `work` allocates in total.
fn allocated<T>(work: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    let kept = work();
    let change = region.change();
    drop(kept);
    change.bytes_allocated
}

/// What passes the guard costs at most what the guard said.
fn within_the_guards_bound<T: protocol::codec::Request>(version: i16, body: Vec<u8>) {
    let body = Bytes::from(body);
    let key = ApiKey::from_wire(T::KEY).expect("served");
    let walked = guard::check_request(key, version, &body).expect("dense, but allowed");
    assert!(walked.elements + walked.tags > 1000, "{key:?}: {walked:?} is not dense");
    let used = allocated(|| decode_request::<T>(body.clone(), version).expect("passed the walk"));
    let bound = walked.decoded_bytes_max();
    assert!(used <= bound, "{key:?} {version}: {used} bytes, the guard said {bound}: {walked:?}");
}

/// What is refused costs nothing at all, however large it claims to be.
fn refused_for_free(key: ApiKey, version: i16, body: &[u8]) {
    let used = allocated(|| {
        match key {
            ApiKey::Produce => ProduceRequest::decode(body, version).map(drop),
            ApiKey::Fetch => FetchRequest::decode(body, version).map(drop),
            key => guard::check_request(key, version, body).map(drop),
        }
        .expect_err("a lie about the count")
    });
    assert_eq!(used, 0, "{key:?} {version}");
}

/// An array of `count` elements, each the same bytes.
fn array(count: usize, flexible: bool, element: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.length(count, flexible);
    out.raw(&element.repeat(count));
    out
}

fn tags(count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.uvarint(count as u32);
    for tag in 0..count {
        out.uvarint(tag as u32);
        out.uvarint(0);
    }
    out
}

#[test]
fn decoders_allocate_within_their_bounds() {
    // Empty names, as many as one request may have.
    let names = array(REQUEST_ELEMENTS_MAX, false, &[0, 0]);
    within_the_guards_bound::<m::MetadataRequest>(1, names);
    let topic = [&[1][..], &[0; 6], &[1, 1, 0]].concat();
    let topics = [array(REQUEST_ELEMENTS_MAX, true, &topic), vec![0; 6]].concat();
    within_the_guards_bound::<m::CreateTopicsRequest>(7, topics);
    // A tagged field in each of as many elements as may have one, then all of them in one section.
    let element = [&[0; 16][..], &[0], &tags(1)].concat();
    let tagged = [array(REQUEST_TAGS_MAX, true, &element), vec![0; 4]].concat();
    within_the_guards_bound::<m::MetadataRequest>(12, tagged);
    let tagged = [vec![0, 0, 0], tags(REQUEST_TAGS_MAX)].concat();
    within_the_guards_bound::<m::DescribeClusterRequest>(2, tagged);
    // One resource with as many keys as there may be, and as many resources with one key each.
    let keys = array(REQUEST_ELEMENTS_MAX - 1, false, &[0, 0]);
    let resource = [vec![0, 0, 0, 1, 2, 0, 0], keys, vec![0]].concat();
    within_the_guards_bound::<m::DescribeConfigsRequest>(1, resource);
    let resource = [2, 0, 0, 0, 0, 0, 1, 0, 0];
    let resources = [array(REQUEST_ELEMENTS_MAX / 2, false, &resource), vec![0]].concat();
    within_the_guards_bound::<m::DescribeConfigsRequest>(1, resources);

    // By hand: topics without partitions, and partitions without records.
    let head = [0, 0, 1, 0, 0, 0, 0];
    let topics = [&head[..], &array(100_000, true, &[1, 1, 0]), &[0]].concat();
    let partitions = array(100_000, true, &[0, 0, 0, 0, 0, 0]);
    let partitions = [&head[..], &[2, 1], &partitions, &[0, 0]].concat();
    let mixed = [&[1][..], &array(1, true, &[0, 0, 0, 0, 0, 0]), &[0]].concat();
    let mixed = [&head[..], &array(100_000, true, &mixed), &[0]].concat();
    for body in [topics, partitions, mixed] {
        let used = allocated(|| ProduceRequest::decode(&body, 9).expect("dense, but allowed"));
        assert!(used <= 20 * body.len(), "{used} bytes for {}", body.len());
    }
    let head = [&[0; 12][..], &[0; 1], &[0; 8]].concat();
    let topics = array(100_000, true, &[[0; 16].as_slice(), &[1, 0]].concat());
    let topics = [&head[..], &topics, &[1, 1, 0]].concat();
    let forgotten = array(100_000, true, &[[0; 16].as_slice(), &[1, 0]].concat());
    let forgotten = [&head[..], &[1], &forgotten, &[1, 0]].concat();
    for body in [topics, forgotten] {
        let used = allocated(|| FetchRequest::decode(&body, 15).expect("dense, but allowed"));
        assert!(used <= 8 * body.len(), "{used} bytes for {}", body.len());
    }

    // The client's side: the longest name with many partitions behind it.
    let name = [&[0x7f, 0xff][..], &[b'a'; 0x7fff]].concat();
    let partitions = array(10_000, false, &[0; 22]);
    let answer = [&[0, 0, 0, 7, 0, 0, 0, 1][..], &name, &partitions, &[0; 4]].concat();
    let answer = Bytes::from(answer);
    let used = allocated(|| ProduceAnswer::decode(3, 7, &answer).expect("dense, but allowed"));
    assert!(used <= 20 * answer.len(), "{used} bytes for {}", answer.len());

    // Lies about counts.
    let huge = i32::MAX.to_be_bytes();
    refused_for_free(ApiKey::Metadata, 1, &huge);
    refused_for_free(ApiKey::CreateTopics, 7, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    refused_for_free(ApiKey::Produce, 7, &[&[0xff, 0xff, 0, 1, 0, 0, 0, 0][..], &huge].concat());
    refused_for_free(ApiKey::Fetch, 4, &[&[0; 17][..], &huge].concat());

    // A frame that claims the limit is announced, not allocated; a small one costs its own length.
    let used = allocated(|| {
        let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
        let prefix = (FRAME_BYTES_MAX as i32).to_be_bytes();
        reader.next(&mut &prefix[..]).expect("within the limit").is_some()
    });
    assert_eq!(used, 0);
    let mut reader = FrameReader::requests(FRAME_BYTES_MAX);
    let used = allocated(|| {
        for byte in (SMALL_FRAME_BYTES_MAX as i32).to_be_bytes().iter().chain(&[0; 100]) {
            let mut input = std::slice::from_ref(byte);
            assert!(reader.next(&mut input).expect("a good frame").is_none());
        }
    });
    assert!(used <= SMALL_FRAME_BYTES_MAX, "{used}");
}
