//! The topics' metadata on a record log, as the broker's controller keeps it: a creation is durable before the first
//! append, a deletion before the files go, and a tombstone outlives every journal entry of its topic.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;

use storage::ids::{Base64Url, LogId};
use storage::node::Known;
use storage::planted::{self, Bug};
use storage::record_log::{RecordLog, RecordLogError};

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its id.
    pub id: [u8; 16],
    /// Number of its name.
    pub name: u8,
    /// Partitions.
    pub partitions: u8,
    /// Number of its settings.
    pub profile: u8,
}

impl Topic {
    /// The ids of its logs.
    pub fn logs(&self) -> impl Iterator<Item = LogId> + use<> {
        let topic = self.id;
        (0..u32::from(self.partitions)).map(move |partition| LogId {
            topic,
            partition,
            incarnation: 0,
        })
    }

    /// The directory of all its logs, below `topics`.
    pub fn dir(&self) -> String {
        topic_dir(self.name, &self.id)
    }

    /// The directory of one of its logs.
    pub fn log_dir(&self, partition: u32) -> String {
        format!("{}/{partition}", self.dir())
    }
}

fn topic_dir(name: u8, id: &[u8; 16]) -> String {
    format!("topic-{name}.{}", Base64Url(id))
}

/// What the records add up to.
#[derive(Clone, Debug, Default)]
pub struct Image {
    topics: BTreeMap<[u8; 16], Topic>,
    tombstones: BTreeMap<[u8; 16], u8>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic begins.
    Created(Topic),
    /// A topic ends: its files go from now on.
    Deleted([u8; 16]),
    /// Its files are gone.
    Pruned([u8; 16]),
    /// It has other settings.
    Configured([u8; 16], u8),
    /// In a snapshot: a topic that was deleted, and the number of its name.
    Tombstone([u8; 16], u8),
}

impl Change {
    fn encode(&self) -> Vec<u8> {
        let (kind, id, rest) = match self {
            Change::Created(topic) => (1, &topic.id, [topic.name, topic.partitions, topic.profile]),
            Change::Deleted(id) => (2, id, [0; 3]),
            Change::Pruned(id) => (3, id, [0; 3]),
            Change::Configured(id, profile) => (4, id, [*profile, 0, 0]),
            Change::Tombstone(id, name) => (5, id, [*name, 0, 0]),
        };
        [[kind].as_slice(), id, &rest].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Change> {
        let (kind, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let [a, b, c] = *rest.first_chunk::<3>()?;
        match kind {
            1 => Some(Change::Created(Topic { id: *id, name: a, partitions: b, profile: c })),
            2 => Some(Change::Deleted(*id)),
            3 => Some(Change::Pruned(*id)),
            4 => Some(Change::Configured(*id, a)),
            5 => Some(Change::Tombstone(*id, a)),
            _ => None,
        }
    }
}

impl Image {
    /// The topics, by id.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// One of them.
    pub fn topic(&self, id: &[u8; 16]) -> Option<&Topic> {
        self.topics.get(id)
    }

    /// Topics that were deleted and not pruned, each with the directory of its logs.
    pub fn tombstones(&self) -> Vec<([u8; 16], String)> {
        self.tombstones.iter().map(|(id, name)| (*id, topic_dir(*name, id))).collect()
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Created(topic) => {
                // Only a planted bug makes an id twice.
                self.tombstones.remove(&topic.id);
                self.topics.insert(topic.id, topic.clone());
            }
            Change::Deleted(id) => {
                if let Some(topic) = self.topics.remove(id) {
                    self.tombstones.insert(*id, topic.name);
                }
            }
            Change::Pruned(id) => drop(self.tombstones.remove(id)),
            Change::Configured(id, profile) => {
                if let Some(topic) = self.topics.get_mut(id) {
                    topic.profile = *profile;
                }
            }
            Change::Tombstone(id, name) => drop(self.tombstones.insert(*id, *name)),
        }
    }

    fn snapshot(&self) -> Vec<Vec<u8>> {
        let topics = self.topics.values().map(|topic| Change::Created(topic.clone()));
        let gone = self.tombstones.iter().map(|(id, name)| Change::Tombstone(*id, *name));
        topics.chain(gone).map(|change| change.encode()).collect()
    }

    /// What recovery is told.
    pub fn known(&self) -> Known {
        let mut known = Known::default();
        for topic in self.topics.values() {
            for id in topic.logs() {
                known.logs.insert(id, topic.log_dir(id.partition));
            }
        }
        known.deleted_topics.extend(self.tombstones.keys());
        known
    }
}

/// The metadata of a running node. Lives on the first shard.
pub struct Metadata {
    log: RecordLog,
    image: RefCell<Image>,
    last_deleted: Cell<Option<[u8; 16]>>,
}

impl Metadata {
    /// Opens the log in `<data>/metadata` and reads it.
    ///
    /// # Errors
    /// What the record log says; a record that is not one of ours is damage too.
    pub async fn open(data: &Path, file_bytes: u64) -> Result<Metadata, String> {
        let opened = RecordLog::open(&data.join("metadata"), "metadata", file_bytes).await;
        let (log, records) = opened.map_err(|error| error.to_string())?;
        let mut image = Image::default();
        for record in records {
            let change = Change::decode(&record);
            image.apply(&change.ok_or_else(|| format!("a metadata record reads {record:?}"))?);
        }
        Ok(Metadata { log, image: RefCell::new(image), last_deleted: Cell::new(None) })
    }

    /// The metadata as of now.
    pub fn image(&self) -> Image {
        self.image.borrow().clone()
    }

    /// An id for a new topic.
    pub fn new_id(&self) -> [u8; 16] {
        let deleted = self.last_deleted.take();
        match deleted.filter(|_| planted::is(Bug::ReuseLogId)) {
            Some(id) => id,
            None => engine::random::uuid(),
        }
    }

    /// Makes a change durable and returns then. Changes are made one after the other.
    ///
    /// # Errors
    /// When it could not be written; nothing has changed then.
    pub async fn change(&self, change: Change) -> Result<(), RecordLogError> {
        self.log.append(vec![change.encode()]).await?;
        if let Change::Deleted(id) = change {
            self.last_deleted.set(Some(id));
        }
        self.image.borrow_mut().apply(&change);
        if self.log.needs_snapshot() {
            // As in the broker, a snapshot that fails is tried again after the next change.
            let records = self.image.borrow().snapshot();
            let _ = self.log.snapshot(records).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_back_and_a_snapshot_says_it_all() {
        let topic = Topic { id: [7; 16], name: 3, partitions: 2, profile: 1 };
        let changes = [
            Change::Created(topic.clone()),
            Change::Configured(topic.id, 5),
            Change::Created(Topic { id: [8; 16], ..topic }),
            Change::Deleted([8; 16]),
        ];
        let mut image = Image::default();
        for change in &changes {
            assert_eq!(Change::decode(&change.encode()).as_ref(), Some(change));
            image.apply(change);
        }
        let mut again = Image::default();
        for record in image.snapshot() {
            again.apply(&Change::decode(&record).expect("a record of ours"));
        }
        assert_eq!(again.topics, image.topics);
        assert_eq!(again.tombstones, image.tombstones);
        assert_eq!(image.known().logs.len(), 2);
    }
}
