//! Kafka's error codes: number, name, whether a client retries, and a sentence.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$attribute:meta])? $variant:ident = $code:literal $name:ident $retriable:ident $text:literal;)*) => {
        /// An error as it travels in a response. Codes unknown to this build decode as
        /// [`ErrorCode::UnknownServerError`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", stringify!($name), "`: ", $text)]
                $(#[$attribute])?
                $variant = $code,
            )*
        }

        impl ErrorCode {
            /// All codes, in the order of their numbers from -1 on.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The code of a number, if it is known.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            /// Whether Kafka's clients retry on it.
            #[must_use]
            pub const fn retriable(self) -> bool {
                match self {
                    $(Self::$variant => error_codes!(@ $retriable),)*
                }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
    (@ retry) => { true };
    (@ fail) => { false };
}

error_codes! {
    UnknownServerError = -1 UNKNOWN_SERVER_ERROR fail
        "The server met an unexpected error.";
    #[default] None = 0 NONE fail
        "No error.";
    OffsetOutOfRange = 1 OFFSET_OUT_OF_RANGE fail
        "The offset is not within the range of offsets kept by the server.";
    CorruptMessage = 2 CORRUPT_MESSAGE retry
        "The message failed its CRC, is too large, has a null key where one is needed, or is otherwise corrupt.";
    UnknownTopicOrPartition = 3 UNKNOWN_TOPIC_OR_PARTITION retry
        "This server does not host this topic partition.";
    InvalidFetchSize = 4 INVALID_FETCH_SIZE fail
        "The requested fetch size is invalid.";
    LeaderNotAvailable = 5 LEADER_NOT_AVAILABLE retry
        "There is no leader for this topic partition: an election is in progress.";
    NotLeaderOrFollower = 6 NOT_LEADER_OR_FOLLOWER retry
        "This broker is not the leader, or not a replica, of this topic partition.";
    RequestTimedOut = 7 REQUEST_TIMED_OUT retry
        "The request timed out.";
    BrokerNotAvailable = 8 BROKER_NOT_AVAILABLE fail
        "The broker is not available.";
    ReplicaNotAvailable = 9 REPLICA_NOT_AVAILABLE retry
        "The replica is not available for this topic partition.";
    MessageTooLarge = 10 MESSAGE_TOO_LARGE fail
        "The request holds a batch larger than the server accepts.";
    StaleControllerEpoch = 11 STALE_CONTROLLER_EPOCH fail
        "The controller moved to another broker.";
    OffsetMetadataTooLarge = 12 OFFSET_METADATA_TOO_LARGE fail
        "The metadata of the offset is too large.";
    NetworkException = 13 NETWORK_EXCEPTION retry
        "The server disconnected before a response was received.";
    CoordinatorLoadInProgress = 14 COORDINATOR_LOAD_IN_PROGRESS retry
        "The coordinator is loading and cannot serve requests yet.";
    CoordinatorNotAvailable = 15 COORDINATOR_NOT_AVAILABLE retry
        "The coordinator is not available.";
    NotCoordinator = 16 NOT_COORDINATOR retry
        "This is not the coordinator.";
    InvalidTopic = 17 INVALID_TOPIC_EXCEPTION fail
        "The topic name is invalid, or the operation is not allowed on this topic.";
    RecordListTooLarge = 18 RECORD_LIST_TOO_LARGE fail
        "The batch is larger than a segment of the log may be.";
    NotEnoughReplicas = 19 NOT_ENOUGH_REPLICAS retry
        "Fewer replicas are in sync than required.";
    NotEnoughReplicasAfterAppend = 20 NOT_ENOUGH_REPLICAS_AFTER_APPEND retry
        "The messages were written to fewer in-sync replicas than required.";
    InvalidRequiredAcks = 21 INVALID_REQUIRED_ACKS fail
        "The required acks are not 0, 1 or -1.";
    IllegalGeneration = 22 ILLEGAL_GENERATION fail
        "The group generation is not the current one.";
    InconsistentGroupProtocol = 23 INCONSISTENT_GROUP_PROTOCOL fail
        "The member's protocols do not match those of the group.";
    InvalidGroupId = 24 INVALID_GROUP_ID fail
        "The group id is invalid.";
    UnknownMemberId = 25 UNKNOWN_MEMBER_ID fail
        "The coordinator does not know this member.";
    InvalidSessionTimeout = 26 INVALID_SESSION_TIMEOUT fail
        "The session timeout is outside the range the broker allows.";
    RebalanceInProgress = 27 REBALANCE_IN_PROGRESS fail
        "The group is rebalancing: rejoin it.";
    InvalidCommitOffsetSize = 28 INVALID_COMMIT_OFFSET_SIZE fail
        "The committed offset data is too large.";
    TopicAuthorizationFailed = 29 TOPIC_AUTHORIZATION_FAILED fail
        "Not authorized to access the topic.";
    GroupAuthorizationFailed = 30 GROUP_AUTHORIZATION_FAILED fail
        "Not authorized to access the group.";
    ClusterAuthorizationFailed = 31 CLUSTER_AUTHORIZATION_FAILED fail
        "Not authorized for this cluster operation.";
    InvalidTimestamp = 32 INVALID_TIMESTAMP fail
        "The timestamp of the message is out of the accepted range.";
    UnsupportedSaslMechanism = 33 UNSUPPORTED_SASL_MECHANISM fail
        "The broker does not support this SASL mechanism.";
    IllegalSaslState = 34 ILLEGAL_SASL_STATE fail
        "The request is not valid in the current SASL state.";
    UnsupportedVersion = 35 UNSUPPORTED_VERSION fail
        "This version of the API is not supported.";
    TopicAlreadyExists = 36 TOPIC_ALREADY_EXISTS fail
        "A topic of this name already exists.";
    InvalidPartitions = 37 INVALID_PARTITIONS fail
        "The number of partitions is invalid.";
    InvalidReplicationFactor = 38 INVALID_REPLICATION_FACTOR fail
        "The replication factor is below 1 or larger than the number of available brokers.";
    InvalidReplicaAssignment = 39 INVALID_REPLICA_ASSIGNMENT fail
        "The replica assignment is invalid.";
    InvalidConfig = 40 INVALID_CONFIG fail
        "The configuration is invalid.";
    NotController = 41 NOT_CONTROLLER retry
        "This is not the controller of the cluster.";
    InvalidRequest = 42 INVALID_REQUEST fail
        "The request does not fit the wire protocol, or asks for the impossible.";
    UnsupportedForMessageFormat = 43 UNSUPPORTED_FOR_MESSAGE_FORMAT fail
        "The message format on the broker does not support this request.";
    PolicyViolation = 44 POLICY_VIOLATION fail
        "The request violates a policy of the cluster.";
    OutOfOrderSequenceNumber = 45 OUT_OF_ORDER_SEQUENCE_NUMBER fail
        "The broker received an out-of-order sequence number.";
    DuplicateSequenceNumber = 46 DUPLICATE_SEQUENCE_NUMBER fail
        "The broker received a duplicate sequence number.";
    InvalidProducerEpoch = 47 INVALID_PRODUCER_EPOCH fail
        "The producer's epoch is older than the current one.";
    InvalidTxnState = 48 INVALID_TXN_STATE fail
        "The transactional operation is not valid in the current state.";
    InvalidProducerIdMapping = 49 INVALID_PRODUCER_ID_MAPPING fail
        "The producer id is not the one assigned to this transactional id.";
    InvalidTransactionTimeout = 50 INVALID_TRANSACTION_TIMEOUT fail
        "The transaction timeout is larger than the broker allows.";
    ConcurrentTransactions = 51 CONCURRENT_TRANSACTIONS retry
        "Another operation on the same transaction is still under way.";
    TransactionCoordinatorFenced = 52 TRANSACTION_COORDINATOR_FENCED fail
        "The transaction coordinator was fenced by a newer one.";
    TransactionalIdAuthorizationFailed = 53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED fail
        "Not authorized to use this transactional id.";
    SecurityDisabled = 54 SECURITY_DISABLED fail
        "Security features are disabled.";
    OperationNotAttempted = 55 OPERATION_NOT_ATTEMPTED fail
        "Not attempted, because an earlier operation of the same request failed.";
    KafkaStorageError = 56 KAFKA_STORAGE_ERROR retry
        "A disk error hit the server's log.";
    LogDirNotFound = 57 LOG_DIR_NOT_FOUND fail
        "The log directory is not in the broker's configuration.";
    SaslAuthenticationFailed = 58 SASL_AUTHENTICATION_FAILED fail
        "SASL authentication failed.";
    UnknownProducerId = 59 UNKNOWN_PRODUCER_ID fail
        "The broker has no state of this producer id.";
    ReassignmentInProgress = 60 REASSIGNMENT_IN_PROGRESS fail
        "A reassignment of this partition is in progress.";
    DelegationTokenAuthDisabled = 61 DELEGATION_TOKEN_AUTH_DISABLED fail
        "Delegation tokens are not enabled.";
    DelegationTokenNotFound = 62 DELEGATION_TOKEN_NOT_FOUND fail
        "The delegation token is not known.";
    DelegationTokenOwnerMismatch = 63 DELEGATION_TOKEN_OWNER_MISMATCH fail
        "The principal is not the owner or a renewer of the token.";
    DelegationTokenRequestNotAllowed = 64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED fail
        "Delegation tokens need an authenticated connection.";
    DelegationTokenAuthorizationFailed = 65 DELEGATION_TOKEN_AUTHORIZATION_FAILED fail
        "Not authorized for delegation tokens.";
    DelegationTokenExpired = 66 DELEGATION_TOKEN_EXPIRED fail
        "The delegation token has expired.";
    InvalidPrincipalType = 67 INVALID_PRINCIPAL_TYPE fail
        "The principal type is not supported.";
    NonEmptyGroup = 68 NON_EMPTY_GROUP fail
        "The group is not empty.";
    GroupIdNotFound = 69 GROUP_ID_NOT_FOUND fail
        "The group does not exist.";
    FetchSessionIdNotFound = 70 FETCH_SESSION_ID_NOT_FOUND retry
        "The fetch session is not known: start a new one.";
    InvalidFetchSessionEpoch = 71 INVALID_FETCH_SESSION_EPOCH retry
        "The epoch of the fetch session is not the expected one.";
    ListenerNotFound = 72 LISTENER_NOT_FOUND retry
        "The leader has no listener matching the one this request came by.";
    TopicDeletionDisabled = 73 TOPIC_DELETION_DISABLED fail
        "The deletion of topics is disabled.";
    FencedLeaderEpoch = 74 FENCED_LEADER_EPOCH retry
        "The leader epoch of the request is older than the broker's.";
    UnknownLeaderEpoch = 75 UNKNOWN_LEADER_EPOCH retry
        "The leader epoch of the request is newer than the broker's.";
    UnsupportedCompressionType = 76 UNSUPPORTED_COMPRESSION_TYPE fail
        "The client does not support the compression of this partition's records.";
    StaleBrokerEpoch = 77 STALE_BROKER_EPOCH fail
        "The broker's epoch has changed.";
    OffsetNotAvailable = 78 OFFSET_NOT_AVAILABLE retry
        "The leader's high watermark has not caught up after an election.";
    MemberIdRequired = 79 MEMBER_ID_REQUIRED fail
        "The group wants the member to join again with the id it was given.";
    PreferredLeaderNotAvailable = 80 PREFERRED_LEADER_NOT_AVAILABLE retry
        "The preferred leader is not available.";
    GroupMaxSizeReached = 81 GROUP_MAX_SIZE_REACHED fail
        "The group has reached its maximum size.";
    FencedInstanceId = 82 FENCED_INSTANCE_ID fail
        "Another member with the same instance id joined.";
    EligibleLeadersNotAvailable = 83 ELIGIBLE_LEADERS_NOT_AVAILABLE retry
        "No eligible leader is available for this partition.";
    ElectionNotNeeded = 84 ELECTION_NOT_NEEDED retry
        "No election is needed for this partition.";
    NoReassignmentInProgress = 85 NO_REASSIGNMENT_IN_PROGRESS fail
        "No reassignment is in progress.";
    GroupSubscribedToTopic = 86 GROUP_SUBSCRIBED_TO_TOPIC fail
        "The group is still subscribed to the topic.";
    InvalidRecord = 87 INVALID_RECORD fail
        "The record failed validation on the broker and was rejected.";
    UnstableOffsetCommit = 88 UNSTABLE_OFFSET_COMMIT retry
        "Some offsets are still part of an ongoing transaction.";
    ThrottlingQuotaExceeded = 89 THROTTLING_QUOTA_EXCEEDED retry
        "The throttling quota has been exceeded.";
    ProducerFenced = 90 PRODUCER_FENCED fail
        "A newer producer with the same transactional id fenced this one.";
    ResourceNotFound = 91 RESOURCE_NOT_FOUND fail
        "The resource does not exist.";
    DuplicateResource = 92 DUPLICATE_RESOURCE fail
        "The resource is named twice, or exists already.";
    UnacceptableCredential = 93 UNACCEPTABLE_CREDENTIAL fail
        "The credential does not meet the criteria.";
    InconsistentVoterSet = 94 INCONSISTENT_VOTER_SET fail
        "The voter set of sender and receiver differ.";
    InvalidUpdateVersion = 95 INVALID_UPDATE_VERSION fail
        "The version of the update is invalid.";
    FeatureUpdateFailed = 96 FEATURE_UPDATE_FAILED fail
        "The features could not be updated.";
    PrincipalDeserializationFailure = 97 PRINCIPAL_DESERIALIZATION_FAILURE fail
        "The forwarded principal could not be read.";
    SnapshotNotFound = 98 SNAPSHOT_NOT_FOUND fail
        "The snapshot was not found.";
    PositionOutOfRange = 99 POSITION_OUT_OF_RANGE fail
        "The position is outside the snapshot.";
    UnknownTopicId = 100 UNKNOWN_TOPIC_ID retry
        "This server does not host this topic id.";
    DuplicateBrokerRegistration = 101 DUPLICATE_BROKER_REGISTRATION fail
        "This broker id is already in use.";
    BrokerIdNotRegistered = 102 BROKER_ID_NOT_REGISTERED fail
        "This broker id is not registered.";
    InconsistentTopicId = 103 INCONSISTENT_TOPIC_ID retry
        "The topic id of the log and of the request differ.";
    InconsistentClusterId = 104 INCONSISTENT_CLUSTER_ID fail
        "The cluster id of the request is not this cluster's.";
    TransactionalIdNotFound = 105 TRANSACTIONAL_ID_NOT_FOUND fail
        "The transactional id was not found.";
    FetchSessionTopicIdError = 106 FETCH_SESSION_TOPIC_ID_ERROR retry
        "The fetch session mixes requests with and without topic ids.";
    IneligibleReplica = 107 INELIGIBLE_REPLICA fail
        "The new in-sync set holds a replica that is not eligible.";
    NewLeaderElected = 108 NEW_LEADER_ELECTED fail
        "The leader was changed by this alteration.";
    OffsetMovedToTieredStorage = 109 OFFSET_MOVED_TO_TIERED_STORAGE fail
        "The offset is in tiered storage.";
    FencedMemberEpoch = 110 FENCED_MEMBER_EPOCH fail
        "The member epoch is fenced: rejoin the group.";
    UnreleasedInstanceId = 111 UNRELEASED_INSTANCE_ID fail
        "The instance id is still used by another member.";
    UnsupportedAssignor = 112 UNSUPPORTED_ASSIGNOR fail
        "No assignor is supported by all members of the group.";
    StaleMemberEpoch = 113 STALE_MEMBER_EPOCH fail
        "The member epoch is stale: retry after the next heartbeat.";
    MismatchedEndpointType = 114 MISMATCHED_ENDPOINT_TYPE fail
        "The request went to an endpoint of the wrong type.";
    UnsupportedEndpointType = 115 UNSUPPORTED_ENDPOINT_TYPE fail
        "This endpoint type is not supported.";
    UnknownControllerId = 116 UNKNOWN_CONTROLLER_ID fail
        "This controller id is not known.";
    UnknownSubscriptionId = 117 UNKNOWN_SUBSCRIPTION_ID fail
        "The subscription id is stale: fetch the subscription again.";
    TelemetryTooLarge = 118 TELEMETRY_TOO_LARGE fail
        "The telemetry is larger than the broker accepts.";
    InvalidRegistration = 119 INVALID_REGISTRATION fail
        "The controller considers the registration invalid.";
    TransactionAbortable = 120 TRANSACTION_ABORTABLE fail
        "The transaction must be aborted.";
    InvalidRecordState = 121 INVALID_RECORD_STATE fail
        "The state of the record does not allow the acknowledgement.";
    ShareSessionNotFound = 122 SHARE_SESSION_NOT_FOUND retry
        "The share session was not found.";
    InvalidShareSessionEpoch = 123 INVALID_SHARE_SESSION_EPOCH retry
        "The epoch of the share session is invalid.";
    FencedStateEpoch = 124 FENCED_STATE_EPOCH fail
        "The state epoch of the share coordinator is fenced.";
    InvalidVoterKey = 125 INVALID_VOTER_KEY fail
        "The voter key is not that of the receiver.";
    DuplicateVoter = 126 DUPLICATE_VOTER fail
        "The voter is already in the set.";
    VoterNotFound = 127 VOTER_NOT_FOUND fail
        "The voter is not in the set.";
    InvalidRegularExpression = 128 INVALID_REGULAR_EXPRESSION fail
        "The regular expression is invalid.";
    RebootstrapRequired = 129 REBOOTSTRAP_REQUIRED fail
        "The client's metadata is stale: bootstrap again.";
    StreamsInvalidTopology = 130 STREAMS_INVALID_TOPOLOGY fail
        "The topology of the streams group is invalid.";
    StreamsInvalidTopologyEpoch = 131 STREAMS_INVALID_TOPOLOGY_EPOCH fail
        "The topology epoch of the streams group is invalid.";
    StreamsTopologyFenced = 132 STREAMS_TOPOLOGY_FENCED fail
        "The topology epoch of the streams group is outdated.";
    ShareSessionLimitReached = 133 SHARE_SESSION_LIMIT_REACHED retry
        "The limit of share sessions is reached.";
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The code of a number; a number not known is [`ErrorCode::UnknownServerError`], as in Kafka's clients.
    #[must_use]
    pub fn from_wire(code: i16) -> Self {
        Self::from_code(code).unwrap_or(Self::UnknownServerError)
    }

    /// Whether it is [`ErrorCode::None`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// Turns it into a result: `Ok` for [`ErrorCode::None`].
    ///
    /// # Errors
    /// Itself, unless it is [`ErrorCode::None`].
    pub const fn check(self) -> Result<(), Self> {
        if self.is_none() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::ResponseError;

    #[test]
    fn numbers_run_without_a_gap_and_come_back() {
        for (code, error) in (-1i16..).zip(ErrorCode::ALL) {
            assert_eq!(error.code(), code);
            assert_eq!(ErrorCode::from_code(code), Some(*error));
        }
        assert_eq!(ErrorCode::from_wire(9_999), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::default(), ErrorCode::None);
    }

    #[test]
    fn names_and_retries_agree_with_the_kafka_protocol_crate() {
        let mut compared = 0;
        let mut differ = Vec::new();
        for error in ErrorCode::ALL {
            let Some(theirs) = ResponseError::try_from_code(error.code()) else { continue };
            if let ResponseError::Unknown(_) = theirs {
                continue;
            }
            compared += 1;
            let name = format!("{theirs:?}").to_lowercase();
            let ours = error.name().replace('_', "").to_lowercase();
            assert!(ours == name, "{ours} {name}");
            if theirs.is_retriable() != error.retriable() {
                differ.push(error.name());
            }
        }
        assert!(compared > 110, "{compared}");
        // Retriable in the Java producer since KIP-890; the crate is older in this.
        assert_eq!(differ, ["CONCURRENT_TRANSACTIONS"]);
    }
}
