//! Which version of each API both ends speak.

use std::fmt;

use kafka_protocol::messages::ApiVersionsResponse;

use crate::versions::{APIS, ApiKey};

/// The versions both ends speak, from the server's answer to `ApiVersions`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Negotiated {
    /// By position in [`APIS`]: the range both speak.
    ranges: [Option<(i16, i16)>; APIS.len()],
}

/// The server does not speak an API in any version of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// The API.
    pub api: ApiKey,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let api = self.api.api();
        write!(f, "the server does not serve {} in versions {} to {}", api.name, api.min, api.max)
    }
}

impl std::error::Error for Unsupported {}

impl Negotiated {
    /// From the answer to `ApiVersions`. An answer with error 35 lists only `ApiVersions` itself: ask again in
    /// [`Negotiated::newest`] of it.
    #[must_use]
    pub fn new(answer: &ApiVersionsResponse) -> Self {
        let mut negotiated = Self::default();
        for theirs in &answer.api_keys {
            let at = APIS.binary_search_by_key(&theirs.api_key, |api| api.key.wire());
            let Ok(at) = at else { continue };
            let range =
                (APIS[at].min.max(theirs.min_version), APIS[at].max.min(theirs.max_version));
            negotiated.ranges[at] = (range.0 <= range.1).then_some(range);
        }
        negotiated
    }

    /// The newest version both speak.
    ///
    /// # Errors
    /// [`Unsupported`].
    pub fn newest(&self, api: ApiKey) -> Result<i16, Unsupported> {
        self.at_most(api, i16::MAX)
    }

    /// The newest version both speak that is at most `version`.
    ///
    /// # Errors
    /// [`Unsupported`].
    pub fn at_most(&self, api: ApiKey, version: i16) -> Result<i16, Unsupported> {
        let at = APIS.binary_search_by_key(&api, |row| row.key);
        let range = at.ok().and_then(|at| self.ranges[at]);
        match range {
            Some((min, max)) if min <= version => Ok(max.min(version)),
            _ => Err(Unsupported { api }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    #[test]
    fn the_newest_common_version_is_taken() {
        let row = |key, min, max| {
            ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
        };
        let answer = ApiVersionsResponse::default().with_api_keys(vec![
            row(0, 0, 12),
            row(1, 4, 99),
            row(3, 14, 15),
            row(500, 0, 1),
        ]);
        let negotiated = Negotiated::new(&answer);
        assert_eq!(negotiated.newest(ApiKey::Produce).unwrap(), 12);
        assert_eq!(negotiated.at_most(ApiKey::Produce, 8).unwrap(), 8);
        assert_eq!(negotiated.at_most(ApiKey::Produce, 2).unwrap_err().api, ApiKey::Produce);
        assert_eq!(negotiated.newest(ApiKey::Fetch).unwrap(), 18);
        assert_eq!(negotiated.newest(ApiKey::Metadata).unwrap_err().api, ApiKey::Metadata);
        assert_eq!(negotiated.newest(ApiKey::DeleteTopics).unwrap_err().api, ApiKey::DeleteTopics);
    }
}
