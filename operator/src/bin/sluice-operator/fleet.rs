//! The objects of a fleet in etcd.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use api::Kind;
use operator::{Fence, Options, Runner, World};
use store::etcd::{ConnectOptions, Fleet, FleetSource};
use store::{LeaseName, LeaseRecord};

use crate::args::Etcd;
use crate::health::Troubles;

/// What a leader of a fleet works on.
struct Field {
    fleet: Fleet,
    kinds: BTreeSet<Kind>,
    troubles: Troubles,
}

/// Connects, and competes for the lease.
///
/// # Errors
/// If etcd cannot be reached in that way, whether it is there or not.
pub(crate) fn open(etcd: Etcd, options: Options) -> Result<(Runner, Troubles)> {
    let fleet = Fleet::connect(connect_options(etcd)).context("connecting to etcd")?;
    let troubles = Troubles::default();
    let kinds = options.duties.facts.role.kinds();
    let field = Field {
        fleet: fleet.clone(),
        kinds: kinds.iter().copied().collect(),
        troubles: troubles.clone(),
    };
    Ok((Runner::spawn(fleet, field, options), troubles))
}

impl World for Field {
    type Source = FleetSource;
    type Writer = Fleet;

    fn source(&self, _: Fence) -> impl Future<Output = FleetSource> + Send + use<> {
        let (fleet, kinds) = (self.fleet.clone(), self.kinds.clone());
        let troubles = self.troubles.clone();
        async move {
            let source = fleet.source(kinds);
            let wrong = source.trouble();
            troubles.follow("objects", move || {
                let wrong = wrong.borrow();
                wrong.iter().map(ToString::to_string).collect()
            });
            source
        }
    }

    fn writer(&self, lease: &LeaseName, term: &LeaseRecord) -> Fleet {
        self.fleet.fenced_by(lease, term)
    }
}

fn connect_options(etcd: Etcd) -> ConnectOptions {
    let mut options = ConnectOptions::new(etcd.urls);
    if let Some(prefix) = etcd.etcd_prefix {
        options.prefix = prefix;
    }
    options.ca = etcd.etcd_ca;
    options.identity = etcd.etcd_cert.zip(etcd.etcd_key);
    options.user = etcd.etcd_user.zip(etcd.etcd_password_file);
    options
}
