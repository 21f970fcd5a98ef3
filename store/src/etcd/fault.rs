//! What etcd's refusals mean.

use crate::source::WriteError;

/// Why etcd did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The revision is not kept any more.
    #[error("the revision has been compacted")]
    Compacted,
    /// The user may not, or may not any more.
    #[error("etcd does not permit it{0}")]
    Denied(String),
    /// It does not know the user, or wants one.
    #[error("etcd does not accept the user: {0}")]
    Unknown(String),
    /// It will say no however often it is asked.
    #[error("etcd refuses it: {0}")]
    Refused(String),
    /// It did not get the question, or did not answer, or cannot now.
    #[error("etcd does not answer: {0}")]
    Unavailable(String),
}

/// Codes of gRPC statuses.
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const OUT_OF_RANGE: i32 = 11;
const UNAUTHENTICATED: i32 = 16;

/// Refusals of the user, which have the code of a bad argument.
const OF_THE_USER: [&str; 3] = [
    "authentication failed",
    "user name is empty",
    "authentication is not enabled",
];

impl Failure {
    /// What the client's error means.
    pub(super) fn of(error: &etcd_client::Error) -> Self {
        if let etcd_client::Error::GRpcStatus(status) = error {
            let message = status.message().trim_start_matches("etcdserver: ");
            return Self::of_status(status.code().into(), with_causes(message, status));
        }
        if let etcd_client::Error::TransportError(error) = error {
            return Self::Unavailable(with_causes(&error.to_string(), error));
        }
        Self::Unavailable(error.to_string())
    }

    fn of_status(code: i32, message: String) -> Self {
        match code {
            OUT_OF_RANGE if message.contains("compacted") => Self::Compacted,
            PERMISSION_DENIED => Self::Denied(String::new()),
            UNAUTHENTICATED => Self::Unknown(message),
            INVALID_ARGUMENT if OF_THE_USER.iter().any(|part| message.contains(part)) => {
                Self::Unknown(message)
            }
            // It is made anew by the next call.
            INVALID_ARGUMENT if message.contains("revision of auth store") => {
                Self::Unavailable(message)
            }
            INVALID_ARGUMENT => Self::Refused(message),
            RESOURCE_EXHAUSTED if message.contains("larger than max") => Self::Refused(message),
            _ => Self::Unavailable(message),
        }
    }

    /// The same, about that key.
    pub(super) fn about(self, user: Option<&str>, path: &str) -> Self {
        match (self, user) {
            (Self::Denied(_), Some(user)) => Self::Denied(format!(": user \"{user}\", key {path}")),
            (Self::Denied(_), None) => Self::Denied(format!(": key {path}")),
            (other, _) => other,
        }
    }
}

/// A message and its causes. Each layer of the client repeats the one below; that is said once.
fn with_causes(message: &str, error: &dyn std::error::Error) -> String {
    let mut parts = vec![message.to_owned()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !parts.contains(&part) {
            parts.push(part);
        }
        cause = error.source();
    }
    parts.join(": ")
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Denied(_) | Failure::Refused(_) => Self::Forbidden(failure.to_string()),
            Failure::Compacted | Failure::Unknown(_) | Failure::Unavailable(_) => {
                Self::Unavailable(failure.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_absence() {
        let of = |code, message: &str| Failure::of_status(code, message.to_owned());

        assert_eq!(
            of(11, "mvcc: required revision has been compacted"),
            Failure::Compacted
        );
        assert!(matches!(
            of(3, "authentication failed, invalid user ID or password"),
            Failure::Unknown(_)
        ));
        for (code, message) in [
            (3, "request is too large"),
            (8, "grpc: received message larger than max (5 vs. 4)"),
        ] {
            assert!(matches!(of(code, message), Failure::Refused(_)));
        }
        assert!(matches!(
            of(3, "revision of auth store is old"),
            Failure::Unavailable(_)
        ));
        for code in [1, 2, 4, 8, 9, 10, 13, 14] {
            assert!(matches!(of(code, "no leader"), Failure::Unavailable(_)));
        }
    }

    #[test]
    fn a_denial_names_the_user_and_the_key() {
        let denied = Failure::Denied(String::new()).about(Some("edge"), "/a/b");

        assert_eq!(
            WriteError::from(denied),
            WriteError::Forbidden("etcd does not permit it: user \"edge\", key /a/b".to_owned())
        );
    }
}
