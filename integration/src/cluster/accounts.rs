//! Who may talk to the API server, and how: kubeconfigs of users and service accounts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{ControlPlane, KeyPair};

/// How a kubeconfig's user proves who it is.
pub(super) enum Credentials<'a> {
    Certificate(&'a KeyPair),
    Token(&'a str),
}

/// How a kubeconfig's user knows the server.
pub(super) enum Server<'a> {
    TrustedBy(&'a Path),
    /// For waiting until a server answers, whose certificate is what a test made it.
    Unchecked,
}

impl ControlPlane {
    /// A kubeconfig for a service account, which is made if it is not there, as its namespace is.
    /// It holds a token of the API server's, and whatever roles are bound to the account.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        self.apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n\
             apiVersion: v1\nkind: ServiceAccount\n\
             metadata: {{name: {name}, namespace: {namespace}}}\n"
        ))?;
        self.token_of(namespace, name)
    }

    /// As [`ControlPlane::service_account`], for one that is there (a chart's, for example).
    ///
    /// # Errors
    /// If there is none.
    pub fn token_of(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let ask = format!("create token {name} --namespace {namespace} --duration 24h");
        let token = self.kubectl(&ask)?;
        self.kubeconfig(
            &format!("{namespace}-{name}"),
            &Server::TrustedBy(&self.authority().certificate()),
            &Credentials::Token(token.trim()),
        )
    }

    /// A kubeconfig for a user in a group, with a certificate.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn user(&self, name: &str, group: Option<&str>) -> Result<PathBuf> {
        let pair = self.authority().client(name, group)?;
        self.kubeconfig(
            &name.replace([':', '/'], "-"),
            &Server::TrustedBy(&self.authority().certificate()),
            &Credentials::Certificate(&pair),
        )
    }

    pub(super) fn kubeconfig(
        &self,
        name: &str,
        server: &Server<'_>,
        credentials: &Credentials<'_>,
    ) -> Result<PathBuf> {
        let trust = match server {
            Server::TrustedBy(authority) => {
                format!("certificate-authority: {}", authority.display())
            }
            Server::Unchecked => "insecure-skip-tls-verify: true".to_owned(),
        };
        let proof = match credentials {
            Credentials::Certificate(pair) => format!(
                "client-certificate: {}\n    client-key: {}",
                pair.certificate.display(),
                pair.key.display()
            ),
            Credentials::Token(token) => format!("token: {token}"),
        };
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    server: {}
    {trust}
contexts:
- name: lab
  context: {{cluster: lab, user: {name}}}
users:
- name: {name}
  user:
    {proof}
",
            self.url()
        );
        let file = self.host().folder().join(format!("{name}.kubeconfig"));
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }
}
