//! Certificates for a cluster, made on the spot and gone with it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair as Key, KeyUsagePurpose, SanType,
};

/// Clocks differ, and a certificate that begins this second may not have begun elsewhere.
const HEAD_START: Duration = Duration::from_secs(3600);

/// A certificate authority with its files in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, Key>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The certificate, as PEM.
    pub certificate: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

impl Authority {
    /// An authority that keeps its files in `folder`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "sluicegate-lab");
        let issuer = CertifiedIssuer::self_signed(params, Key::generate()?)
            .context("making the authority's certificate")?;
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let authority = Self {
            folder: folder.to_owned(),
            issuer,
        };
        write(&authority.certificate(), &authority.issuer.pem())?;
        Ok(authority)
    }

    /// The authority's own certificate, which others trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// A certificate for a server at these addresses and `localhost`, valid for so long from now.
    /// One that is asked for again replaces the files.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn server(&self, name: &str, at: &[IpAddr], lifetime: Duration) -> Result<KeyPair> {
        let mut params = named(name, None);
        params.subject_alt_names = at.iter().copied().map(SanType::IpAddress).collect();
        let localhost = "localhost".try_into().context("a name of a server")?;
        params.subject_alt_names.push(SanType::DnsName(localhost));
        let now = SystemTime::now();
        params.not_before = (now - HEAD_START).into();
        params.not_after = (now + lifetime).into();
        self.sign(name, &params)
    }

    /// A certificate for a user of the API server or of etcd, in this group.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<KeyPair> {
        self.sign(&user.replace([':', '/'], "-"), &named(user, group))
    }

    /// A key pair without a certificate, for signing tokens.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn signing_key(&self, name: &str) -> Result<KeyPair> {
        let key = Key::generate()?;
        let files = self.files(name);
        write(&files.key, &key.serialize_pem())?;
        write(&files.certificate, &key.public_key_pem())?;
        Ok(files)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Result<KeyPair> {
        let key = Key::generate()?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .with_context(|| format!("signing the certificate of {name}"))?;
        let files = self.files(name);
        write(&files.certificate, &certificate.pem())?;
        write(&files.key, &key.serialize_pem())?;
        Ok(files)
    }

    fn files(&self, name: &str) -> KeyPair {
        KeyPair {
            certificate: self.folder.join(format!("{name}.crt")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}

fn named(user: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    params
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
