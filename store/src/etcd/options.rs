//! How etcd is reached.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, Identity, TlsOptions};

/// Below which keys objects usually are.
pub const DEFAULT_PREFIX: &str = "/sluicegate";

/// For how long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a silent connection is asked whether it is alive, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));

/// How etcd is reached. Files are read whenever a connection is made, so they may be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The members' client URLs, `http://HOST:PORT` or `https://HOST:PORT`.
    pub urls: Vec<String>,
    /// Below which keys the objects are.
    pub prefix: String,
    /// The authority that the members' certificates are from; needed for https.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The user, and the file that has the password in its first line.
    pub user: Option<(String, PathBuf)>,
}

/// Why etcd cannot be reached in that way, whether it is there or not.
#[derive(Debug, thiserror::Error)]
pub enum BadOptions {
    /// Nobody to ask.
    #[error("no URL of etcd is given")]
    NoUrl,
    /// Another kind of URL.
    #[error("\"{0}\" is not a URL of etcd: expected http://HOST:PORT or https://HOST:PORT")]
    BadUrl(String),
    /// Some of them encrypted, some not.
    #[error("URLs of etcd must be all http or all https")]
    MixedUrls,
    /// Nobody to trust.
    #[error("an https URL of etcd needs the file of the authority that its certificate is from")]
    NoAuthority,
    /// It would be sent to whoever answers.
    #[error("certificates are of no use with an http URL of etcd")]
    Unencrypted,
    /// A file that does not read.
    #[error("reading {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path} is not in PEM")]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// A password that is none.
    #[error("{path} has no password in its first line")]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
}

/// What the files said when they were read. Never shown.
pub(super) struct Credentials {
    tls: Option<TlsOptions>,
    user: Option<(String, String)>,
}

impl ConnectOptions {
    /// These members without encryption, and the usual prefix.
    #[must_use]
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            prefix: DEFAULT_PREFIX.to_owned(),
            ca: None,
            identity: None,
            user: None,
        }
    }

    /// Checks what can be checked without a file or etcd.
    pub(super) fn check(&self) -> Result<(), BadOptions> {
        if self.urls.is_empty() {
            return Err(BadOptions::NoUrl);
        }
        for url in &self.urls {
            let host = url.strip_prefix("http://");
            let host = host.or_else(|| url.strip_prefix("https://"));
            let is_host = |host: &str| {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
                host.contains(':') && host.chars().all(is_plain)
            };
            if !host.is_some_and(is_host) {
                return Err(BadOptions::BadUrl(without_user(url)));
            }
        }
        let encrypted = self.urls.iter().filter(|url| is_https(url)).count();
        let has_certificates = self.ca.is_some() || self.identity.is_some();
        match (encrypted == self.urls.len(), encrypted) {
            (false, 1..) => Err(BadOptions::MixedUrls),
            (false, 0) if has_certificates => Err(BadOptions::Unencrypted),
            (true, _) if self.ca.is_none() => Err(BadOptions::NoAuthority),
            (true, _) | (false, 0) => Ok(()),
        }
    }

    /// Reads the files.
    pub(super) fn credentials(&self) -> Result<Credentials, BadOptions> {
        let mut tls = None;
        if let Some(ca) = &self.ca {
            let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(pem(ca)?));
            if let Some((certificate, key)) = &self.identity {
                options = options.identity(Identity::from_pem(pem(certificate)?, pem(key)?));
            }
            tls = Some(options);
        }
        let user = match &self.user {
            Some((name, file)) => Some((name.clone(), password(file)?)),
            None => None,
        };
        Ok(Credentials { tls, user })
    }
}

impl Credentials {
    /// The same in the client's words.
    pub(super) fn into_client_options(self) -> etcd_client::ConnectOptions {
        let (interval, timeout) = KEEP_ALIVE;
        let mut options = etcd_client::ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(interval, timeout)
            .with_keep_alive_while_idle(false)
            // A member that has lost the others must not go on telling what was.
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(tls) = self.tls {
            options = options.with_tls(tls);
        }
        if let Some((name, password)) = self.user {
            options = options.with_user(name, password);
        }
        options
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// A password in a URL is nothing to be shown.
fn without_user(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (before, after) = (url.get(..scheme + 3), url.get(at..));
            format!(
                "{}...{}",
                before.unwrap_or_default(),
                after.unwrap_or_default()
            )
        }
        (_, Some(_)) => "...".to_owned(),
        (_, None) => url.to_owned(),
    }
}

fn pem(path: &Path) -> Result<String, BadOptions> {
    let text = text(path)?;
    if text.contains("-----BEGIN ") {
        Ok(text)
    } else {
        Err(BadOptions::NotPem {
            path: path.to_owned(),
        })
    }
}

fn password(path: &Path) -> Result<String, BadOptions> {
    let text = text(path)?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        Some(_) | None => Err(BadOptions::NoPassword {
            path: path.to_owned(),
        }),
    }
}

fn text(path: &Path) -> Result<String, BadOptions> {
    fs::read_to_string(path).map_err(|source| BadOptions::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host_and_a_port() {
        for good in ["http://127.0.0.1:2379", "http://[::1]:2379"] {
            assert!(ConnectOptions::new([good]).check().is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:2379",
            "http://etcd",
            "ftp://etcd:1",
            "http://etcd:1/v3",
        ] {
            assert!(ConnectOptions::new([bad]).check().is_err(), "{bad}");
        }
        assert!(matches!(
            ConnectOptions::new(Vec::<String>::new()).check(),
            Err(BadOptions::NoUrl)
        ));
    }

    #[test]
    fn encryption_is_all_or_nothing_and_trusts_somebody() {
        let plain = ConnectOptions::new(["http://a:1"]);
        let encrypted = ConnectOptions::new(["https://a:1"]);
        let with_ca = |options: &ConnectOptions| ConnectOptions {
            ca: Some("ca.pem".into()),
            ..options.clone()
        };

        assert!(matches!(encrypted.check(), Err(BadOptions::NoAuthority)));
        assert!(with_ca(&encrypted).check().is_ok());
        assert!(matches!(
            with_ca(&plain).check(),
            Err(BadOptions::Unencrypted)
        ));
        assert!(matches!(
            ConnectOptions::new(["http://a:1", "https://b:1"]).check(),
            Err(BadOptions::MixedUrls)
        ));
    }

    #[test]
    fn a_password_is_in_a_file_and_in_no_message() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "hunter2\n").unwrap();
        let options = ConnectOptions {
            user: Some(("edge".to_owned(), file.clone())),
            ..ConnectOptions::new(["http://a:1"])
        };

        let credentials = options.credentials().unwrap();
        let in_url = ConnectOptions::new(["http://edge:hunter2@a:1"]).check();

        assert_eq!(credentials.user.as_ref().unwrap().1, "hunter2");
        assert!(!format!("{credentials:?} {options:?}").contains("hunter2"));
        assert!(!in_url.unwrap_err().to_string().contains("hunter2"));
        fs::write(&file, "\n").unwrap();
        assert!(matches!(
            options.credentials(),
            Err(BadOptions::NoPassword { .. })
        ));
    }
}
