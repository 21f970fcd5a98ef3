//! What the command line and the ConfigMap come to.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use desired::{DefaultIpam, Facts, Forwarding, IpamOptions, Role, RouterIdPool};
use operator::{Duties, Options, Terms};
use settings::{Classless, Remark, RouterIds, Serve, Settings};
use store::LeaseName;
use types::{Family, NodeName, Prefix};

use crate::args::{Args, Etcd, LogFormat};

/// The lease that operators compete for.
const LEASE: &str = "sluicegate-operator";

/// Where the lease is unless somebody says otherwise.
const NAMESPACE: &str = "kube-system";

/// Where metrics and health are served unless somebody says otherwise.
const SERVE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9963);

/// Writes under way at a time.
const WRITES: usize = 32;

/// What to do.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) options: Options,
    pub(crate) store: Store,
    /// None if nothing is served.
    pub(crate) serve: Option<SocketAddr>,
    pub(crate) log: settings::Log,
}

/// Where the objects are.
#[derive(Debug)]
pub(crate) enum Store {
    Kubernetes(Kubernetes),
    #[cfg(feature = "etcd")]
    Etcd(Etcd),
}

/// A cluster.
#[derive(Debug)]
pub(crate) struct Kubernetes {
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    /// Whether definitions of the custom resources are installed.
    pub(crate) definitions: bool,
    /// Namespaces whose Services are watched; all where it is empty.
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) limits: settings::ClientLimits,
}

impl Args {
    /// The configuration, and what is to be said about the ConfigMap's keys.
    ///
    /// # Errors
    /// Names the flag or key and the reason.
    pub(crate) fn config(self) -> Result<(Config, Vec<Remark>)> {
        let keys = match &self.config_dir {
            Some(folder) => store::config_map::read(folder)?,
            None => BTreeMap::new(),
        };
        let parsed = Settings::parse(&keys).context("reading the settings")?;
        let config = self.joined(parsed.settings)?;
        Ok((config, parsed.remarks))
    }

    fn joined(self, settings: Settings) -> Result<Config> {
        let namespace = self.namespace.clone();
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        let options = Options {
            lease: LeaseName {
                namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
                name: LEASE.to_owned(),
            },
            identity: self.unique_identity()?,
            terms: self.terms(settings.lease)?,
            duties: duties(&settings)?,
        };
        let serve = match (self.metrics, settings.operator_metrics) {
            (Some(at), _) | (None, Some(Serve::On(at))) => Some(at),
            (None, Some(Serve::Off)) => None,
            (None, None) => Some(SERVE),
        };
        let mut log = settings.log;
        if let Some(level) = &self.log_level {
            log.level.clone_from(level);
        }
        if let Some(format) = self.log_format {
            log.format = match format {
                LogFormat::Text => settings::LogFormat::Text,
                LogFormat::Json => settings::LogFormat::Json,
            };
        }
        let store = self.store(settings.namespaces, settings.client)?;
        Ok(Config {
            options,
            store,
            serve,
            log,
        })
    }

    /// Never that of another operator, also of an earlier one in the same pod.
    fn unique_identity(&self) -> Result<String> {
        let given = self.identity.clone().filter(|name| !name.is_empty());
        let name = match given {
            Some(name) => name,
            None => hostname()?,
        };
        let random = RandomState::new().hash_one(std::process::id());
        Ok(format!("{name}_{random:016x}"))
    }

    fn terms(&self, settings: settings::LeaseTerms) -> Result<Terms> {
        let lease = self.leader_election_lease_duration;
        let renew = self.leader_election_renew_deadline;
        let retry = self.leader_election_retry_period;
        Terms::new(
            lease.unwrap_or(settings.duration),
            renew.unwrap_or(settings.renew_deadline),
            retry.unwrap_or(settings.retry_period),
        )
        .context("reading the terms of the leader election")
    }

    fn store(self, namespaces: BTreeSet<String>, limits: settings::ClientLimits) -> Result<Store> {
        if !self.etcd.urls.is_empty() {
            return fleet(self.etcd);
        }
        Ok(Store::Kubernetes(Kubernetes {
            kubeconfig: self.kubeconfig,
            context: self.context,
            definitions: !self.skip_crd_creation,
            namespaces,
            limits,
        }))
    }
}

#[cfg(feature = "etcd")]
fn fleet(etcd: Etcd) -> Result<Store> {
    Ok(Store::Etcd(etcd))
}

#[cfg(not(feature = "etcd"))]
fn fleet(_: Etcd) -> Result<Store> {
    anyhow::bail!("this program was built without etcd (the feature `etcd`)")
}

fn duties(settings: &Settings) -> Result<Duties> {
    let own: NodeName = "operator".parse().context("naming the operator")?;
    let router_id_pool = match settings.bgp.router_ids {
        RouterIds::Node => None,
        RouterIds::Pool(range) => {
            let range: Prefix = range.to_string().parse()?;
            let pool = RouterIdPool::try_from(range);
            Some(pool.context("reading the range of BGP identifiers")?)
        }
    };
    let facts = Facts {
        role: Role::Operator,
        forwarding: match settings.balancer {
            Some(_) => Forwarding::Balancer,
            None => Forwarding::Elsewhere,
        },
        router_id_pool,
        status_reports: settings.bgp.status_report,
        announce_empty: settings.bgp.announce_without_endpoints,
        ipam: IpamOptions {
            enabled: settings.ipam.enabled,
            default: match settings.ipam.classless {
                Classless::Pools => DefaultIpam::LbIpam,
                Classless::Nodes => DefaultIpam::NodeIpam,
                Classless::Nobody => DefaultIpam::Nobody,
            },
            bgp: settings.bgp.enabled,
            ..IpamOptions::default()
        },
        secrets_namespace: settings.bgp.secrets_namespace.as_str().into(),
        ..Facts::new(own)
    };
    let families = [
        (settings.families.v4, Family::V4),
        (settings.families.v6, Family::V6),
    ];
    let families = families.into_iter().filter(|(enabled, _)| *enabled);
    Ok(Duties {
        facts,
        families: families.map(|(_, family)| family).collect(),
        bgp: settings.bgp.enabled,
        writes: WRITES,
    })
}

fn hostname() -> Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    Ok(name.context("reading the hostname")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_given_means_the_defaults() {
        let config = Args::default().joined(Settings::default()).unwrap();

        assert_eq!(
            config.options.lease.to_string(),
            "kube-system/sluicegate-operator"
        );
        assert_eq!(config.options.terms, Terms::default());
        assert_eq!(config.serve, Some("127.0.0.1:9963".parse().unwrap()));
        assert!(format!("{:?}", config.store).contains("definitions: true"));
        let duties = config.options.duties;
        assert_eq!(duties.families, Family::BOTH);
        assert!(duties.bgp);
        assert!(duties.facts.ipam.enabled);
        assert_eq!(duties.facts.role, Role::Operator);
    }

    #[test]
    fn flags_win_over_keys() {
        let keys = [
            ("leader-election-lease-duration", "30s"),
            ("leader-election-renew-deadline", "20s"),
            ("log-level", "debug"),
        ];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::parse(&keys.into()).unwrap().settings;
        let args = Args {
            leader_election_renew_deadline: Some(Duration::from_secs(12)),
            log_level: Some("warn".to_owned()),
            ..Args::default()
        };

        let config = args.joined(settings).unwrap();

        assert_eq!(config.options.terms.lease(), Duration::from_secs(30));
        assert_eq!(config.options.terms.renew(), Duration::from_secs(12));
        assert_eq!(config.log.level, "warn");
    }

    #[test]
    fn two_operators_of_one_name_are_two() {
        let args = Args {
            identity: Some("pod".to_owned()),
            ..Args::default()
        };

        let [one, other] = [(); 2].map(|()| args.unique_identity().unwrap());

        assert!(one.starts_with("pod_"), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn terms_that_leave_no_time_are_refused_by_name() {
        let args = Args {
            leader_election_renew_deadline: Some(Duration::from_secs(15)),
            ..Args::default()
        };

        let error = args.joined(Settings::default()).unwrap_err();

        assert!(
            format!("{error:#}").contains("the renew deadline"),
            "{error:#}"
        );
    }
}
