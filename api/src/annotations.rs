//! Sluicegate's own annotations on a Service.
//!
//! | annotation | value | default |
//! |---|---|---|
//! | `sluicegate.io/health-check` | `tcp`, `http` or `none` | `none` |
//! | `sluicegate.io/health-check-path` | path of the HTTP request; any status from 200 to 399 passes | `/` |
//! | `sluicegate.io/health-check-port` | 1 to 65535 | the backend's port |
//! | `sluicegate.io/health-check-interval` | a duration from `100ms` to `1h` | `2s` |
//! | `sluicegate.io/health-check-timeout` | a duration, at most the interval | `1s`, or the interval if that is less |
//! | `sluicegate.io/health-check-rise` | 1 to 100 checks that pass in a row | 2 |
//! | `sluicegate.io/health-check-fall` | 1 to 100 checks that fail in a row | 3 |
//! | `sluicegate.io/when-empty` | `withdraw` or `refuse` | `withdraw`; where another program balances: stays announced |
//! | `sluicegate.io/idle-timeout` | a duration from `1s` to `24h` | the balancer's |
//! | `sluicegate.io/quarantine` | a duration up to `24h` | `0s` |
//! | `sluicegate.io/maglev-table-size` | one of Cilium's ten primes, 251 to 131071 | by the backends |
//!
//! `withdraw` takes the addresses of a Service without backends out of BGP; `refuse` keeps
//! them announced and answers what comes with ICMP "port unreachable" (RFC 792, RFC 4443), rate limited. `idle-timeout` is for how long a silent flow is remembered while
//! its slot is in change. `quarantine` is for how long a backend that fails its checks keeps its
//! established flows. Durations are a number and `ms`, `s`, `m` or `h`.
//!
//! On a CiliumLoadBalancerIPPool:
//!
//! | annotation | value | default |
//! |---|---|---|
//! | `sluicegate.io/pool-priority` | a number: the highest of the pools that would serve does | 0 |
//! | `sluicegate.io/namespace-quota` | how many addresses a namespace may have: `team-a=10,*=5` | no limit |
//! | `sluicegate.io/reserve` | a duration from `1s` to a year: how long an address waits for its Service when that is deleted | not at all |
//!
//! On an EndpointSlice, `service.cilium.io/weight` is the weight of each of its endpoints: 0 to 65535, 100 by
//! default. Endpoints of weight zero keep their flows and get no new ones.

mod pool;
mod sharing;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::fault::{At, Faults};
use crate::{Unenforced, keys, read};

pub use pool::{NAMESPACE_QUOTA, POOL_PRIORITY, PoolSettings, RESERVE};
pub(crate) use sharing::sharing;
pub use sharing::{Sharing, SharingNamespaces};

/// The table sizes that Cilium accepts, as they are written.
pub const MAGLEV_TABLE_SIZES: [(&str, u32); 10] = [
    ("251", 251),
    ("509", 509),
    ("1021", 1021),
    ("2039", 2039),
    ("4093", 4093),
    ("8191", 8191),
    ("16381", 16381),
    ("32749", 32749),
    ("65521", 65521),
    ("131071", 131_071),
];

/// What every annotation of Sluicegate begins with.
pub const PREFIX: &str = "sluicegate.io/";
/// How backends are checked.
pub const HEALTH_CHECK: &str = "sluicegate.io/health-check";
/// What an HTTP check asks for.
pub const HEALTH_CHECK_PATH: &str = "sluicegate.io/health-check-path";
/// Which port is checked.
pub const HEALTH_CHECK_PORT: &str = "sluicegate.io/health-check-port";
/// How often a check is made.
pub const HEALTH_CHECK_INTERVAL: &str = "sluicegate.io/health-check-interval";
/// How long a check may take.
pub const HEALTH_CHECK_TIMEOUT: &str = "sluicegate.io/health-check-timeout";
/// How many checks must pass before a backend is used.
pub const HEALTH_CHECK_RISE: &str = "sluicegate.io/health-check-rise";
/// How many checks must fail before a backend is not used.
pub const HEALTH_CHECK_FALL: &str = "sluicegate.io/health-check-fall";
/// What happens to a Service without backends.
pub const WHEN_EMPTY: &str = "sluicegate.io/when-empty";
/// How long a silent flow is remembered.
pub const IDLE_TIMEOUT: &str = "sluicegate.io/idle-timeout";
/// How long a backend that fails its checks keeps its flows.
pub const QUARANTINE: &str = "sluicegate.io/quarantine";
/// How many slots a Service's table has.
pub const MAGLEV_TABLE_SIZE: &str = "sluicegate.io/maglev-table-size";
/// The weight of a slice's endpoints.
pub const WEIGHT: &str = "service.cilium.io/weight";

/// The weight of an endpoint that has none.
pub const DEFAULT_WEIGHT: u16 = 100;

/// What Sluicegate's own annotations say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSettings {
    /// How backends are checked, if at all.
    pub health_check: Option<HealthCheck>,
    /// What happens while there is no backend; none leaves it to whoever balances.
    pub when_empty: Option<WhenEmpty>,
    /// How long a silent flow is remembered; none means the balancer's default.
    pub idle_timeout: Option<Duration>,
    /// How long a backend that fails its checks keeps its established flows.
    pub quarantine: Duration,
    /// How many slots the table has, one of [`MAGLEV_TABLE_SIZES`]; none lets the balancer choose.
    pub maglev_table_size: Option<u32>,
}

/// How backends are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What a check is.
    pub probe: Probe,
    /// The port; none means the backend's own.
    pub port: Option<u16>,
    /// From one check to the next.
    pub interval: Duration,
    /// How long a check may take; at most the interval.
    pub timeout: Duration,
    /// Checks that must pass in a row.
    pub rise: u8,
    /// Checks that must fail in a row.
    pub fall: u8,
}

/// What a health check is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A connection that opens.
    Tcp,
    /// A request that is answered with a status from 200 to 399.
    Http {
        /// What is asked for; begins with a slash.
        path: String,
    },
}

/// What happens to a Service without backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Its addresses are not announced.
    Withdraw,
    /// Its addresses stay announced, and what comes is answered with ICMP "port unreachable".
    Refuse,
}

const KNOWN: [&str; 11] = [
    HEALTH_CHECK,
    HEALTH_CHECK_PATH,
    HEALTH_CHECK_PORT,
    HEALTH_CHECK_INTERVAL,
    HEALTH_CHECK_TIMEOUT,
    HEALTH_CHECK_RISE,
    HEALTH_CHECK_FALL,
    WHEN_EMPTY,
    IDLE_TIMEOUT,
    QUARANTINE,
    MAGLEV_TABLE_SIZE,
];

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_RISE: u8 = 2;
const DEFAULT_FALL: u8 = 3;
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
const IDLE_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const QUARANTINES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);

/// Reads annotations by name, with faults at the right path.
struct Annotations<'a> {
    all: &'a BTreeMap<String, String>,
    faults: &'a mut Faults,
}

#[derive(Clone, Copy)]
enum ProbeKind {
    None,
    Tcp,
    Http,
}

/// Whether an annotation is somebody else's, or one of those above.
pub(crate) fn is_known(key: &str) -> bool {
    !key.starts_with(PREFIX) || KNOWN.contains(&key) || pool::KNOWN.contains(&key)
}

/// The weight that a slice's annotations give to its endpoints.
pub(crate) fn weight(all: &BTreeMap<String, String>, faults: &mut Faults) -> u16 {
    let mut annotations = Annotations { all, faults };
    annotations.number(WEIGHT, 0..=65535, DEFAULT_WEIGHT)
}

/// The addresses that a Service asks for, by either spelling of the annotation.
pub(crate) fn requested(all: &BTreeMap<String, String>, faults: &mut Faults) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let found = keys::LB_IPAM_IPS
        .iter()
        .find_map(|key| all.get_key_value(*key));
    let Some((key, text)) = found else {
        return addresses;
    };
    for text in text
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        let addr = with_path(key, |at| read::address(text, at, faults));
        addresses.extend(addr.filter(|addr| !addresses.contains(addr)));
    }
    addresses
}

/// Annotations that Cilium acts upon and Sluicegate does not.
pub(crate) fn unenforced(all: &BTreeMap<String, String>) -> Vec<Unenforced> {
    let sharing = |key: &str| {
        let [new, old] = keys::LB_IPAM_SHARING_PREFIXES;
        key.starts_with(new) || key.starts_with(old)
    };
    let remark = |key: &String| {
        let note = if sharing(key) && !sharing::is_known(key) {
            "it changes nothing about which Services share addresses"
        } else if key.starts_with(keys::CILIUM_SERVICE_PREFIX) {
            "it changes nothing"
        } else {
            return None;
        };
        Some(with_path(key, |at| Unenforced::new(at, note)))
    };
    all.keys().filter_map(remark).collect()
}

impl ServiceSettings {
    /// What they say; a fault for each that says nothing sensible.
    pub(crate) fn read(all: &BTreeMap<String, String>, faults: &mut Faults) -> Self {
        const WHEN: [(&str, WhenEmpty); 2] = [
            ("withdraw", WhenEmpty::Withdraw),
            ("refuse", WhenEmpty::Refuse),
        ];
        let mut annotations = Annotations { all, faults };
        Self {
            health_check: annotations.health_check(),
            when_empty: annotations.choice(WHEN_EMPTY, &WHEN),
            idle_timeout: annotations.duration(IDLE_TIMEOUT, &IDLE_TIMEOUTS),
            quarantine: annotations.quarantine(),
            maglev_table_size: annotations.choice(MAGLEV_TABLE_SIZE, &MAGLEV_TABLE_SIZES),
        }
    }
}

impl Annotations<'_> {
    fn health_check(&mut self) -> Option<HealthCheck> {
        const KINDS: [(&str, ProbeKind); 3] = [
            ("none", ProbeKind::None),
            ("tcp", ProbeKind::Tcp),
            ("http", ProbeKind::Http),
        ];
        let kind = self.choice(HEALTH_CHECK, &KINDS);
        if !self.all.contains_key(HEALTH_CHECK) {
            for key in KNOWN
                .into_iter()
                .filter(|key| key.starts_with(HEALTH_CHECK))
            {
                if self.all.contains_key(key) {
                    self.fault(key, format_args!("has no effect without {HEALTH_CHECK}"));
                }
            }
        }
        let path = self.path();
        let port = self.optional_number(HEALTH_CHECK_PORT, 1..=65535);
        let interval = self.duration(HEALTH_CHECK_INTERVAL, &INTERVALS);
        let interval = interval.unwrap_or(DEFAULT_INTERVAL);
        let timeout = self.duration(HEALTH_CHECK_TIMEOUT, &TIMEOUTS);
        if timeout.is_some_and(|timeout| timeout > interval) {
            self.fault(HEALTH_CHECK_TIMEOUT, "is longer than the interval");
        }
        let rise = self.number(HEALTH_CHECK_RISE, 1..=100, DEFAULT_RISE);
        let fall = self.number(HEALTH_CHECK_FALL, 1..=100, DEFAULT_FALL);
        let probe = match kind? {
            ProbeKind::None => return None,
            ProbeKind::Tcp if self.all.contains_key(HEALTH_CHECK_PATH) => {
                self.fault(HEALTH_CHECK_PATH, "has no effect on a tcp check");
                return None;
            }
            ProbeKind::Tcp => Probe::Tcp,
            ProbeKind::Http => Probe::Http { path },
        };
        Some(HealthCheck {
            probe,
            port,
            interval,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT.min(interval)),
            rise,
            fall,
        })
    }

    fn quarantine(&mut self) -> Duration {
        if self.all.contains_key(QUARANTINE) && !self.all.contains_key(HEALTH_CHECK) {
            let reason = format_args!("has no effect without {HEALTH_CHECK}");
            self.fault(QUARANTINE, reason);
        }
        self.duration(QUARANTINE, &QUARANTINES).unwrap_or_default()
    }

    fn path(&mut self) -> String {
        let path = self.all.get(HEALTH_CHECK_PATH);
        let path = path.map_or("/", String::as_str);
        // The path goes into a request line as it is.
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "must begin with / and have no spaces or control characters";
            self.fault(HEALTH_CHECK_PATH, reason);
        }
        path.to_owned()
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.all.get(key)?;
        with_path(key, |at| read::one_of(text, choices, at, self.faults))
    }

    fn number<T: TryFrom<i64> + Copy>(
        &mut self,
        key: &str,
        range: RangeInclusive<i64>,
        default: T,
    ) -> T {
        self.optional_number(key, range).unwrap_or(default)
    }

    fn optional_number<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let text = self.all.get(key)?;
        let Ok(number) = text.parse() else {
            self.fault(key, format_args!("\"{text}\" is not a number"));
            return None;
        };
        with_path(key, |at| {
            read::optional(Some(number), range, at, self.faults)
        })
    }

    fn duration(&mut self, key: &str, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.all.get(key)?;
        let Some(duration) = duration(text) else {
            let reason = format_args!("\"{text}\" is not a duration such as 500ms, 2s or 1h");
            self.fault(key, reason);
            return None;
        };
        if !range.contains(&duration) {
            let (least, most) = (range.start(), range.end());
            let reason = format_args!("{text} is not between {least:?} and {most:?}");
            self.fault(key, reason);
        }
        Some(duration)
    }

    fn fault(&mut self, key: &str, reason: impl Display) {
        with_path(key, |at| self.faults.add(at, reason));
    }
}

fn with_path<T>(key: &str, then: impl FnOnce(&At<'_>) -> T) -> T {
    let at = At::ROOT.field("metadata");
    then(&at.field("annotations").field(key))
}

/// A number and its unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}
