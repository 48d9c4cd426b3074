//! `meta.properties`, as Kafka's tools write and read it.

use crate::ids::Base64Url;
use crate::superblock::Superblock;

/// The file's name.
pub(super) const FILE: &str = "meta.properties";

/// The identity in a `meta.properties` file. Keys that are not known are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: Option<String>,
    /// `node.id`, or `broker.id` in old files.
    pub node_id: Option<i32>,
    /// `directory.id`.
    pub directory_id: Option<String>,
}

impl MetaProperties {
    /// Reads the file's text.
    pub fn parse(text: &str) -> MetaProperties {
        let mut found = MetaProperties::default();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match key.trim() {
                "cluster.id" => found.cluster_id = Some(value.to_owned()),
                "node.id" | "broker.id" => found.node_id = value.parse().ok(),
                "directory.id" => found.directory_id = Some(value.to_owned()),
                _ => {}
            }
        }
        found
    }

    /// The file's text for a superblock.
    pub(super) fn text(superblock: &Superblock) -> String {
        format!(
            "# Written by heddle for people and tools; the superblock is what counts.\n\
             version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            superblock.cluster_id,
            superblock.node_id,
            Base64Url(&superblock.directory_id)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_files_are_understood() {
        let text = "#\n#Mon Jan 01 00:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\nversion=1\n\
                    directory.id=SG9fHxVqQAuBwBD0mHLQRg\nnode.id=3\nother=x\nnot a property\n";
        let parsed = MetaProperties::parse(text);
        assert_eq!(parsed.cluster_id.as_deref(), Some("MkU3OEVBNTcwNTJENDM2Qk"));
        assert_eq!(parsed.node_id, Some(3));
        assert_eq!(parsed.directory_id.as_deref(), Some("SG9fHxVqQAuBwBD0mHLQRg"));
        assert_eq!(MetaProperties::parse("broker.id=7").node_id, Some(7));
    }
}
