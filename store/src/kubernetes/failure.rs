//! What an API server's refusal means, in words for the person who has to mend it.

use std::time::Duration;

use serde::Deserialize;

use crate::source::WriteError;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// No answer.
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
    /// The connection is not to be trusted.
    #[error("{0}")]
    Certificate(String),
    /// It does not know who we are.
    #[error(
        "the API server does not accept who we say we are (an expired token or client certificate?): {0}"
    )]
    Unauthorized(String),
    /// We may not.
    #[error("{0}")]
    Forbidden(String),
    /// It has no such kind of objects.
    #[error("the API server has no such kind of objects: {0}")]
    Missing(String),
    /// It has no such object.
    #[error("the object is not there")]
    NotFound,
    /// The object is another by now.
    #[error("the object has changed: {0}")]
    Conflict(String),
    /// It has forgotten what happened since then.
    #[error("the API server has no record of what happened since: {0}")]
    Expired(String),
    /// It does not accept what was sent.
    #[error("the API server does not accept it: {0}")]
    Invalid(String),
    /// It has too much to do.
    #[error("the API server has too much to do: {said}")]
    Throttled {
        /// For how long it wants to be left alone.
        after: Option<Duration>,
        /// Its words.
        said: String,
    },
    /// Something is wrong with it.
    #[error("the API server failed: {0}")]
    Server(String),
}

/// How an API server says what went wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    code: Option<u16>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    name: Option<String>,
    retry_after_seconds: Option<u64>,
    causes: Option<Vec<Cause>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: Option<String>,
}

/// The cause of a failure that is about a version of the future.
const TOO_LARGE: &str = "ResourceVersionTooLarge";

/// How the server says that an applied object does not fit.
const MISFIT: &str = "failed to create typed patch object";

/// How much of an answer that is not for machines is repeated.
const MOST_REPEATED: usize = 300;

impl Failure {
    /// What an answer other than success means.
    pub(super) fn of_answer(code: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        let mut status: Status = serde_json::from_slice(body).unwrap_or_default();
        status.message.get_or_insert_with(|| plain(code, body));
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        status.meaning(code, seconds.map(Duration::from_secs))
    }

    /// What an error within a watch means.
    pub(super) fn of_event(object: &[u8]) -> Self {
        let mut status: Status = serde_json::from_slice(object).unwrap_or_default();
        let code = status.code.unwrap_or(500);
        status.message.get_or_insert_with(|| plain(code, object));
        status.meaning(code, None)
    }

    /// What an error below HTTP means.
    pub(super) fn of_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let said = chain(error);
        match certificate(&said) {
            Some(reason) => Self::Certificate(reason),
            None => Self::Unreachable(said),
        }
    }

    /// Whether new credentials or authorities may help.
    pub(super) fn is_about_trust(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::Unauthorized(_))
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(_) => Self::Conflict,
            Failure::NotFound => Self::Gone,
            Failure::Forbidden(said) | Failure::Invalid(said) => Self::Forbidden(said),
            Failure::Unreachable(_)
            | Failure::Certificate(_)
            | Failure::Unauthorized(_)
            | Failure::Missing(_)
            | Failure::Expired(_)
            | Failure::Throttled { .. }
            | Failure::Server(_) => Self::Unavailable(failure.to_string()),
        }
    }
}

impl Status {
    fn meaning(self, code: u16, retry_after: Option<Duration>) -> Failure {
        let said = self.message.unwrap_or_default();
        let details = self.details.unwrap_or_default();
        let after = retry_after.or(details.retry_after_seconds.map(Duration::from_secs));
        let mut causes = details.causes.iter().flatten();
        let is_too_large = causes.any(|cause| cause.reason.as_deref() == Some(TOO_LARGE));
        match code {
            401 => Failure::Unauthorized(said),
            403 => Failure::Forbidden(forbidden(&said)),
            404 if details.name.is_some_and(|name| !name.is_empty()) => Failure::NotFound,
            404 => Failure::Missing(said),
            409 => Failure::Conflict(said),
            410 => Failure::Expired(said),
            504 if is_too_large => Failure::Expired(said),
            429 => Failure::Throttled { after, said },
            503 if after.is_some() => Failure::Throttled { after, said },
            400..=499 => Failure::Invalid(said),
            // What does not fit the kind's form is not reported as a fault of the request.
            500 if said.contains(MISFIT) => Failure::Invalid(said),
            _ => Failure::Server(said),
        }
    }
}

/// The words of an answer that is no Status.
fn plain(code: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(MOST_REPEATED).collect();
    if text.is_empty() {
        format!("status {code}")
    } else {
        format!("status {code}: {text}")
    }
}

/// Names the rule that is missing. The API server says `User "U" cannot VERB resource "R" in API
/// group "G" in the namespace "N"`, or `at the cluster scope`.
fn forbidden(said: &str) -> String {
    rule(said).unwrap_or_else(|| said.to_owned())
}

fn rule(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("User \"")?;
    let (user, rest) = rest.split_once("\" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, rest) = rest.split_once('"')?;
    let namespace = rest
        .split_once("in the namespace \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let who = match user.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("the service account {}", account.replace(':', "/")),
        None => format!("the user {user}"),
    };
    let scope = match namespace {
        Some((namespace, _)) => format!("in the namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    };
    Some(format!(
        "{who} may not {verb} {resource} {scope}: its role needs the rule \
         apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]"
    ))
}

/// What is wrong with a certificate, if that is what is wrong.
fn certificate(said: &str) -> Option<String> {
    let lower = said.to_lowercase();
    let peer = lower.contains("invalid peer certificate");
    let reason = if peer && (lower.contains("notvalidyet") || lower.contains("not valid yet")) {
        "the API server's certificate is not valid yet (is a clock wrong?)"
    } else if peer && lower.contains("expired") {
        "the API server's certificate has expired: it has to be renewed"
    } else if peer && (lower.contains("unknownissuer") || lower.contains("badsignature")) {
        "the API server's certificate is not from the authority that the kubeconfig names"
    } else if peer && lower.contains("not valid for name") {
        "the API server's certificate is not for the address that the kubeconfig names"
    } else if peer {
        "the API server's certificate is not accepted"
    } else if lower.contains("received fatal alert: certificate")
        || lower.contains("received fatal alert: badcertificate")
    {
        "the API server does not accept our client certificate"
    } else {
        return None;
    };
    Some(format!("{reason} ({said})"))
}

/// An error with its causes, each said once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, body: &str) -> Failure {
        Failure::of_answer(code, None, body.as_bytes())
    }

    #[test]
    fn a_missing_rule_is_named() {
        let said = r#"{"kind":"Status","message":"services is forbidden: User \"system:serviceaccount:kube-system:sluice-agent\" cannot watch resource \"services\" in API group \"\" at the cluster scope","code":403}"#;
        assert_eq!(
            answer(403, said),
            Failure::Forbidden(
                "the service account kube-system/sluice-agent may not watch services in the \
                 whole cluster: its role needs the rule apiGroups: [\"\"], resources: \
                 [\"services\"], verbs: [\"watch\"]"
                    .to_owned()
            )
        );

        let said = r#"{"message":"services \"web\" is forbidden: User \"jane\" cannot patch resource \"services/status\" in API group \"\" in the namespace \"shop\"","code":403}"#;
        assert_eq!(
            WriteError::from(answer(403, said)),
            WriteError::Forbidden(
                "the user jane may not patch services/status in the namespace shop: its role \
                 needs the rule apiGroups: [\"\"], resources: [\"services/status\"], verbs: \
                 [\"patch\"]"
                    .to_owned()
            )
        );

        let said = r#"{"message":"namespace is being terminated","code":403}"#;
        assert_eq!(
            answer(403, said),
            Failure::Forbidden("namespace is being terminated".to_owned())
        );
    }

    #[test]
    fn an_object_that_is_gone_is_not_a_kind_that_is_missing() {
        let gone = r#"{"message":"services \"web\" not found","details":{"name":"web"}}"#;
        assert_eq!(answer(404, gone), Failure::NotFound);

        let missing = answer(404, "404 page not found\n");
        assert_eq!(
            missing,
            Failure::Missing("status 404: 404 page not found".to_owned())
        );
        assert!(matches!(
            WriteError::from(missing),
            WriteError::Unavailable(_)
        ));
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_not_tried_again() {
        let said = r#"{"message":"failed to create typed patch object (/blue): .spec.blocks: expected list","code":500}"#;

        assert!(matches!(answer(500, said), Failure::Invalid(_)));
        assert!(matches!(answer(422, "{}"), Failure::Invalid(_)));
    }

    #[test]
    fn a_busy_server_says_for_how_long() {
        let after = |seconds| Some(Duration::from_secs(seconds));
        let cases = [
            (429, Some("3"), "Too many requests", after(3)),
            (
                429,
                None,
                r#"{"details":{"retryAfterSeconds":7}}"#,
                after(7),
            ),
            (429, Some("soon"), "", None),
            (503, Some("1"), "", after(1)),
        ];
        for (code, header, body, expected) in cases {
            let failure = Failure::of_answer(code, header, body.as_bytes());
            let Failure::Throttled { after, .. } = failure else {
                panic!("{code} {body}: {failure}");
            };
            assert_eq!(after, expected, "{body}");
        }
        assert!(matches!(answer(503, ""), Failure::Server(_)));
        assert!(matches!(answer(500, "{"), Failure::Server(_)));
    }

    #[test]
    fn a_forgotten_past_and_an_unknown_future_begin_anew() {
        let event = br#"{"kind":"Status","code":410,"message":"too old resource version: 1 (2)"}"#;
        assert!(matches!(Failure::of_event(event), Failure::Expired(_)));

        let future = r#"{"message":"Too large resource version: 9, current: 1","details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#;
        assert!(matches!(answer(504, future), Failure::Expired(_)));
        assert!(matches!(answer(504, "{}"), Failure::Server(_)));
    }

    #[test]
    fn a_certificate_is_told_from_a_server_that_is_away() {
        let cases = [
            ("invalid peer certificate: Expired", "has expired"),
            (
                "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
                "has expired",
            ),
            ("invalid peer certificate: UnknownIssuer", "authority"),
            (
                "invalid peer certificate: certificate not valid for name \"a\"",
                "for the address",
            ),
            (
                "invalid peer certificate: certificate not valid yet: verification",
                "not valid yet",
            ),
            ("received fatal alert: CertificateExpired", "our client"),
        ];
        for (said, expected) in cases {
            let failure = Failure::of_error(&std::io::Error::other(said));
            let Failure::Certificate(reason) = failure else {
                panic!("{said}: {failure}");
            };
            assert!(reason.contains(expected), "{reason}");
        }
        let refused = std::io::Error::other("connection refused");
        assert_eq!(
            Failure::of_error(&refused),
            Failure::Unreachable("connection refused".to_owned())
        );
    }
}
