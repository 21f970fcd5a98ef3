//! What a cluster's ConfigMap says, as the agent's configuration.

use std::path::Path;

use anyhow::{Context as _, Result};
use settings::{Parsed, Serve, Settings, Xdp};

use super::{Balancer, Config, Log, LogFormat, RoleConfig, SourceConfig, Tables, XdpMode};

impl Config {
    /// Takes over what a mounted ConfigMap says.
    ///
    /// # Errors
    /// If it cannot be read, or a value is not what its key takes.
    pub(super) fn adopt(&mut self, folder: &Path) -> Result<()> {
        let keys = store::config_map::read(folder)?;
        let parsed = Settings::parse(&keys)
            .with_context(|| format!("in the settings in {}", folder.display()))?;
        self.apply(parsed);
        Ok(())
    }

    fn apply(&mut self, parsed: Parsed) {
        let Parsed { settings, remarks } = parsed;
        self.remarks.extend(remarks.iter().map(ToString::to_string));
        self.log = Log {
            level: settings.log.level,
            format: match settings.log.format {
                settings::LogFormat::Text => LogFormat::Text,
                settings::LogFormat::Json => LogFormat::Json,
            },
        };
        match settings.agent_metrics {
            Some(Serve::On(addr)) => self.metrics = Some(addr),
            Some(Serve::Off) => self.metrics = None,
            None => {}
        }
        let RoleConfig::Edge(edge) = &mut self.role else {
            return;
        };
        edge.bgp.enabled = settings.bgp.enabled;
        edge.bgp.secrets_namespace = settings.bgp.secrets_namespace;
        edge.bgp.status_report = settings.bgp.status_report;
        edge.bgp.announce_empty = settings.bgp.announce_without_endpoints;
        if let Some(balancer) = settings.balancer {
            let tables = edge.balancer.take().map(|own| own.tables);
            edge.balancer = Some(adopted(balancer, tables.unwrap_or_default()));
        }
        if let SourceConfig::Kubernetes(kubernetes) = &mut edge.source {
            kubernetes.namespaces = settings.namespaces;
            kubernetes.writes_per_second = settings.client.qps;
            kubernetes.burst = settings.client.burst;
        }
    }
}

fn adopted(balancer: settings::Balancer, tables: Tables) -> Balancer {
    Balancer {
        interfaces: balancer.interfaces,
        xdp: match balancer.xdp {
            Xdp::Auto => XdpMode::Auto,
            Xdp::Native => XdpMode::Native,
            Xdp::Generic => XdpMode::Generic,
        },
        outer_v4: balancer.outer_v4,
        outer_v6: balancer.outer_v6,
        tables,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Edge, Kubernetes};
    use super::*;

    #[test]
    fn an_empty_config_map_changes_nothing() {
        let mut config = config();

        config.apply(Settings::parse(&BTreeMap::new()).unwrap());

        assert_eq!(config, self::config());
    }

    #[test]
    fn what_a_cluster_says_is_taken_over() {
        let keys = [
            ("bgp-secrets-namespace", "networking"),
            ("enable-bgp-control-plane-status-report", "false"),
            ("enable-no-service-endpoints-routable", "false"),
            ("no-such-key", "1"),
        ];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut config = config();

        config.apply(Settings::parse(&keys.into()).unwrap());

        let edge = edge(&config);
        assert_eq!(edge.bgp.secrets_namespace, "networking");
        assert!(!edge.bgp.status_report && !edge.bgp.announce_empty);
        assert_eq!(
            config.remarks,
            ["no-such-key: no such key; it has no effect"]
        );
    }

    #[test]
    fn interfaces_make_a_balancer_of_the_node() {
        let keys = [
            ("balancer-interfaces", "eth0 eth1"),
            ("balancer-xdp", "generic"),
            ("balancer-outer-source-ipv4", "10.254.0.0/16"),
            ("balancer-outer-source-ipv6", "fd00:254::/64"),
        ];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut config = config();

        config.apply(Settings::parse(&keys.into()).unwrap());

        let balancer = edge(&config).balancer.as_ref().unwrap();
        assert_eq!(balancer.interfaces, ["eth0", "eth1"]);
        assert_eq!(balancer.xdp, XdpMode::Generic);
        assert_eq!(balancer.outer_v4, ("10.254.0.0".parse().unwrap(), 16));
    }

    fn config() -> Config {
        let text = "node-name = \"n1\"\nrole = \"announcer\"\n[kubernetes]\n";
        Config::parse(text).unwrap()
    }

    fn edge(config: &Config) -> &Edge {
        match &config.role {
            RoleConfig::Edge(edge) => edge,
            RoleConfig::Backend(backend) => panic!("{backend:?}"),
        }
    }

    #[test]
    fn namespaces_to_watch_are_the_sources() {
        let mut config = config();
        let mut parsed = Parsed::default();
        parsed.settings.namespaces.insert("shop".into());

        config.apply(parsed);

        let expected = Kubernetes {
            namespaces: ["shop".to_owned()].into(),
            ..Kubernetes::default()
        };
        assert_eq!(edge(&config).source, SourceConfig::Kubernetes(expected));
    }
}
