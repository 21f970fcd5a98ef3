//! Reads keys one by one; what is left over is remarked upon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    Balancer, Bgp, Classless, ClientLimits, Families, Fault, Faults, Ipam, LeaseTerms, Log,
    LogFormat, Parsed, Remark, RouterIds, Serve, Settings, Xdp, missing, value,
};

/// Every key that has an effect.
pub(crate) const KEYS: &[&str] = &[
    "balancer-interfaces",
    "balancer-outer-source-ipv4",
    "balancer-outer-source-ipv6",
    "balancer-xdp",
    "bgp-router-id-allocation-ip-pool",
    "bgp-router-id-allocation-mode",
    "bgp-secrets-namespace",
    "debug",
    "default-lb-service-ipam",
    "enable-bgp-control-plane",
    "enable-bgp-control-plane-status-report",
    "enable-ipv4",
    "enable-ipv6",
    "enable-lb-ipam",
    "enable-no-service-endpoints-routable",
    "k8s-client-burst",
    "k8s-client-qps",
    "leader-election-lease-duration",
    "leader-election-renew-deadline",
    "leader-election-retry-period",
    "log-format",
    "log-level",
    "operator-prometheus-serve-addr",
    "prometheus-serve-addr",
    "watch-namespaces",
];

/// Reads the keys of a ConfigMap.
pub(crate) fn read(keys: &BTreeMap<String, String>) -> Result<Parsed, Faults> {
    let mut reader = Reader {
        keys,
        faults: Vec::new(),
        remarks: BTreeMap::new(),
    };
    let settings = Settings {
        bgp: reader.bgp(),
        ipam: reader.ipam(),
        families: reader.families(),
        balancer: reader.balancer(),
        lease: reader.lease(),
        client: ClientLimits {
            qps: reader.count("k8s-client-qps"),
            burst: reader.count("k8s-client-burst"),
        },
        log: reader.log(),
        agent_metrics: reader.serve("prometheus-serve-addr"),
        operator_metrics: reader.serve("operator-prometheus-serve-addr"),
        namespaces: reader.namespaces(),
    };
    reader.the_rest();
    if !reader.faults.is_empty() {
        return Err(Faults(reader.faults));
    }
    Ok(Parsed {
        settings,
        remarks: reader.remarks.into_values().flatten().collect(),
    })
}

struct Reader<'a> {
    keys: &'a BTreeMap<String, String>,
    faults: Vec<Fault>,
    remarks: BTreeMap<String, Vec<Remark>>,
}

impl<'a> Reader<'a> {
    fn bgp(&mut self) -> Bgp {
        let default = Bgp::default();
        Bgp {
            enabled: self.boolean("enable-bgp-control-plane", default.enabled),
            secrets_namespace: self
                .value("bgp-secrets-namespace", |text| {
                    value::namespace(text).map(|()| text.to_owned())
                })
                .unwrap_or(default.secrets_namespace),
            status_report: self.boolean(
                "enable-bgp-control-plane-status-report",
                default.status_report,
            ),
            router_ids: self.router_ids(),
            announce_without_endpoints: self.boolean(
                "enable-no-service-endpoints-routable",
                default.announce_without_endpoints,
            ),
        }
    }

    fn router_ids(&mut self) -> RouterIds {
        const POOL: &str = "bgp-router-id-allocation-ip-pool";
        const MODE: &str = "bgp-router-id-allocation-mode";
        let pool = self.value(POOL, |text| match value::prefix(text)? {
            (IpNet::V4(net), _) => Ok(net),
            (IpNet::V6(_), _) => Err("is not an IPv4 prefix".to_owned()),
        });
        let from_pool = self.value(MODE, |text| match text {
            "default" => Ok(false),
            "ip-pool" => Ok(true),
            _ => Err("is neither default nor ip-pool".to_owned()),
        });
        match (from_pool, pool) {
            (Some(true), Some(pool)) => RouterIds::Pool(pool),
            // The pool is there and wrong: that is said already.
            (Some(true), None) if self.given(POOL).is_some() => RouterIds::Node,
            (Some(true), None) => {
                self.fault(MODE, format!("needs {POOL}"));
                RouterIds::Node
            }
            // A pool alone is Cilium's spelling of "not now".
            (Some(false) | None, _) => RouterIds::Node,
        }
    }

    fn ipam(&mut self) -> Ipam {
        const CLASSLESS: &str = "default-lb-service-ipam";
        let classless = self.value(CLASSLESS, |text| match text {
            "lbipam" => Ok(Classless::Pools),
            "nodeipam" => Ok(Classless::Nodes),
            "none" => Ok(Classless::Nobody),
            _ => Err("is none of lbipam, nodeipam and none".to_owned()),
        });
        if classless == Some(Classless::Nodes) {
            let instead = "Services without a class get no address";
            self.not_implemented(CLASSLESS, instead);
        }
        Ipam {
            enabled: self.boolean("enable-lb-ipam", Ipam::default().enabled),
            classless: classless.unwrap_or_default(),
        }
    }

    fn families(&mut self) -> Families {
        let families = Families {
            v4: self.boolean("enable-ipv4", true),
            v6: self.boolean("enable-ipv6", true),
        };
        if !families.v4 && !families.v6 {
            self.fault("enable-ipv6", "leaves no family, as enable-ipv4 is off too");
        }
        families
    }

    fn balancer(&mut self) -> Option<Balancer> {
        let interfaces = self.value("balancer-interfaces", |text| {
            let names = value::words(text);
            names.iter().try_for_each(|name| value::interface(name))?;
            Ok(names)
        });
        let xdp = self.value("balancer-xdp", |text| match text {
            "auto" => Ok(Xdp::Auto),
            "native" => Ok(Xdp::Native),
            "generic" => Ok(Xdp::Generic),
            _ => Err("is none of auto, native and generic".to_owned()),
        });
        let interfaces = interfaces.filter(|names| !names.is_empty());
        let wanted = interfaces.is_some();
        let outer_v4 = self.outer(
            "balancer-outer-source-ipv4",
            wanted,
            |text| match value::outer(text, 31)? {
                (IpAddr::V4(addr), len) => Ok((addr, len)),
                (IpAddr::V6(_), _) => Err("is not an IPv4 prefix".to_owned()),
            },
        );
        let outer_v6 = self.outer(
            "balancer-outer-source-ipv6",
            wanted,
            |text| match value::outer(text, 64)? {
                (IpAddr::V6(addr), _) => Ok(addr),
                (IpAddr::V4(_), _) => Err("is not an IPv6 prefix".to_owned()),
            },
        );
        Some(Balancer {
            interfaces: interfaces?,
            xdp: xdp.unwrap_or_default(),
            outer_v4: outer_v4?,
            outer_v6: outer_v6?,
        })
    }

    /// An outer source, which a balancer cannot be without.
    fn outer<T>(
        &mut self,
        key: &str,
        wanted: bool,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if wanted && self.given(key).is_none() {
            self.fault(key, "is needed by balancer-interfaces");
        }
        self.value(key, parse)
    }

    fn lease(&mut self) -> LeaseTerms {
        let default = LeaseTerms::default();
        let mut time = |key: &str, default| self.value(key, value::duration).unwrap_or(default);
        let terms = LeaseTerms {
            duration: time("leader-election-lease-duration", default.duration),
            renew_deadline: time("leader-election-renew-deadline", default.renew_deadline),
            retry_period: time("leader-election-retry-period", default.retry_period),
        };
        if terms.renew_deadline >= terms.duration {
            let (key, than) = (
                "leader-election-renew-deadline",
                "leader-election-lease-duration",
            );
            self.fault(key, format!("is not less than {than}"));
        }
        // 1.2 times: a try that meets jitter must still come before the deadline.
        if terms.retry_period.saturating_mul(6) >= terms.renew_deadline.saturating_mul(5) {
            let (key, than) = (
                "leader-election-retry-period",
                "leader-election-renew-deadline",
            );
            self.fault(key, format!("is not well below {than}"));
        }
        terms
    }

    fn log(&mut self) -> Log {
        let debug = self.boolean("debug", false);
        let level = self.value("log-level", |text| Ok(text.to_owned()));
        let format = self.value("log-format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("is neither text nor json".to_owned()),
        });
        let default = if debug { "debug" } else { "info" };
        Log {
            level: level.unwrap_or_else(|| default.to_owned()),
            format: format.unwrap_or_default(),
        }
    }

    fn namespaces(&mut self) -> BTreeSet<String> {
        self.value("watch-namespaces", |text| {
            let names = value::words(text);
            names.iter().try_for_each(|name| value::namespace(name))?;
            Ok(names.into_iter().collect())
        })
        .unwrap_or_default()
    }

    /// Nothing is nowhere here, not a value that was left out.
    fn serve(&mut self, key: &str) -> Option<Serve> {
        let text = self.keys.get(key)?.trim();
        value::serve(text)
            .map_err(|reason| self.fault(key, reason))
            .ok()
    }

    fn count(&mut self, key: &str) -> Option<u32> {
        self.value(key, |text| match text.parse() {
            Ok(0) | Err(_) => Err("is not a whole number of at least 1".to_owned()),
            Ok(number) => Ok(number),
        })
    }

    fn boolean(&mut self, key: &str, default: bool) -> bool {
        self.value(key, value::boolean).unwrap_or(default)
    }

    /// What a key says; an empty value is one that was left out, as charts write it.
    fn value<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.given(key)?;
        parse(text).map_err(|reason| self.fault(key, reason)).ok()
    }

    fn given(&self, key: &str) -> Option<&'a str> {
        let text = self.keys.get(key)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.push(Fault {
            key: key.to_owned(),
            value: self.given(key).unwrap_or_default().to_owned(),
            reason: reason.into(),
        });
    }

    fn not_implemented(&mut self, key: &str, instead: &str) {
        self.remark(Remark::NotImplemented {
            key: key.to_owned(),
            value: self.given(key).unwrap_or_default().to_owned(),
            instead: instead.to_owned(),
        });
    }

    fn remark(&mut self, remark: Remark) {
        let (Remark::Unknown { key }
        | Remark::NotImplemented { key, .. }
        | Remark::Corrected { key, .. }) = &remark;
        self.remarks.entry(key.clone()).or_default().push(remark);
    }

    /// Remarks on the keys that have no effect.
    fn the_rest(&mut self) {
        let ours: BTreeSet<&str> = KEYS.iter().copied().collect();
        for (key, value) in self.keys {
            if ours.contains(key.as_str()) {
                continue;
            }
            for remark in missing::remarks(key, value.trim()) {
                self.remark(remark);
            }
        }
    }
}
