//! etcd and an API server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::accounts::{Credentials, Server};
use super::{Authority, Etcd, KeyPair, SERVICE_NETWORKS, program};
use crate::lab::{Host, Lab, Process};
use crate::{Patience, until};

/// Where the API server is found, from the lab's own namespace and from what is plugged into it.
pub const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 20, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, 2)),
];

/// The name of the lab's own namespace, where the control plane runs.
const HOST: &str = "control";

const PORT: u16 = 6443;

/// Longer than any test.
const LIFETIME: Duration = Duration::from_secs(86_400);

const PATIENCE: Patience = Patience(Duration::from_secs(60));

/// What a test may want otherwise.
pub struct Options {
    /// How long the API server's certificate is valid from its start.
    pub serving_lifetime: Duration,
    /// More flags for kube-apiserver.
    pub flags: Vec<String>,
}

/// A running control plane; dropping it ends its programs.
pub struct ControlPlane {
    host: Host,
    authority: Authority,
    etcd: Etcd,
    tokens: KeyPair,
    kubelet_client: KeyPair,
    options: Mutex<Options>,
    admin: PathBuf,
    /// The administrator's too, who takes any certificate of the server.
    unchecked: PathBuf,
    api: Mutex<Option<Process>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            serving_lifetime: LIFETIME,
            flags: Vec::new(),
        }
    }
}

impl ControlPlane {
    /// Starts etcd and an API server in the lab's own namespace, where the caller runs too, and
    /// waits until it is ready.
    ///
    /// # Errors
    /// If a program is not built or does not come up.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::start_with(lab, Options::default())
    }

    /// As [`ControlPlane::start`], with options.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub fn start_with(lab: &Lab, options: Options) -> Result<Self> {
        let host = lab.own_host(HOST)?;
        for address in ADDRESSES {
            host.ip(&format!("addr add {address} dev lo"))?;
        }
        Self::start_on(&host, options)
    }

    /// Starts on a host that has [`ADDRESSES`].
    pub(super) fn start_on(host: &Host, options: Options) -> Result<Self> {
        let authority = Authority::create(&host.folder().join("pki"))?;
        let tokens = authority.signing_key("tokens")?;
        let masters = Some("system:masters");
        let kubelet_client = authority.client("kube-apiserver", masters)?;
        let admin = authority.client("admin", masters)?;
        let mut cluster = Self {
            host: host.clone(),
            authority,
            etcd: Etcd::start(host)?,
            tokens,
            kubelet_client,
            options: Mutex::new(options),
            admin: PathBuf::new(),
            unchecked: PathBuf::new(),
            api: Mutex::default(),
        };
        let admin = Credentials::Certificate(&admin);
        let trusted = cluster.authority.certificate();
        cluster.unchecked = cluster.kubeconfig("unchecked", &Server::Unchecked, &admin)?;
        cluster.admin = cluster.kubeconfig("admin", &Server::TrustedBy(&trusted), &admin)?;
        cluster.start_api()?;
        Ok(cluster)
    }

    /// The administrator's kubeconfig: for what a person would do, never for what is under test.
    #[must_use]
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// Where the API server is, as `https://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        let [v4, _] = ADDRESSES;
        format!("https://{v4}:{PORT}")
    }

    /// Its etcd.
    #[must_use]
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// The authority that everything in this cluster trusts.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host it runs on; its folder has the logs.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The key that signs the tokens of service accounts.
    pub(super) fn token_key(&self) -> &Path {
        &self.tokens.key
    }

    /// Kills the API server as a crash would. etcd keeps what it has.
    ///
    /// # Errors
    /// If it is not running.
    pub fn stop_api(&self) -> Result<()> {
        let api = self
            .api
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        api.context("the API server is not running")?.kill()
    }

    /// Starts the API server (again) and waits until it is ready.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_api(&self) -> Result<()> {
        let args = self.flags()?;
        let mut process = self
            .host
            .spawn("kube-apiserver", program("kube-apiserver")?, &args)?;
        until("the API server listens", PATIENCE, || {
            process.check_running()?;
            super::listens(&self.host, PORT)
        })?;
        until("the API server is ready", PATIENCE, || {
            process.check_running()?;
            self.ready()
        })?;
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Stops the API server from running without ending it (connections stay and nothing answers),
    /// or lets it go on.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze_api(&self, frozen: bool) -> Result<()> {
        let api = self.api.lock().unwrap_or_else(PoisonError::into_inner);
        let signal = if frozen {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        api.as_ref()
            .context("the API server is not running")?
            .signal(signal)
    }

    /// How long the API server's certificate is valid after its next start; zero: not at all.
    pub fn set_serving_lifetime(&self, lifetime: Duration) {
        let mut options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        options.serving_lifetime = lifetime;
    }

    fn ready(&self) -> Result<()> {
        let ask = |args: &[&str]| {
            let output = self.run(&self.unchecked, args, None)?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}", said.trim());
            anyhow::Ok(())
        };
        ask(&["get", "--raw", "/readyz"])?;
        ask(&["get", "namespaces", "default", "kube-system"])
    }

    fn flags(&self) -> Result<Vec<String>> {
        let options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        let [v4, v6] = ADDRESSES;
        let at = [
            Ipv4Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.into(),
            v4,
            v6,
        ];
        let serving =
            self.authority
                .server("kube-apiserver-serving", &at, options.serving_lifetime)?;
        let file = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
        let mut flags = vec![
            format!("--etcd-servers={}", self.etcd.url()),
            format!("--secure-port={PORT}"),
            format!("--advertise-address={v4}"),
            "--bind-address=::".to_owned(),
            file("tls-cert-file", &serving.certificate),
            file("tls-private-key-file", &serving.key),
            file("client-ca-file", &self.authority.certificate()),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            file("service-account-key-file", &self.tokens.certificate),
            file("service-account-signing-key-file", &self.tokens.key),
            file(
                "kubelet-client-certificate",
                &self.kubelet_client.certificate,
            ),
            file("kubelet-client-key", &self.kubelet_client.key),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--service-cluster-ip-range={}", SERVICE_NETWORKS.join(",")),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        flags.extend(options.flags.iter().cloned());
        Ok(flags)
    }
}
