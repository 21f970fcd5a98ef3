//! Sees whether an address is ever given twice, or lost.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use integration::cluster::ControlPlane;
use serde_json::Value;

/// What was seen of each service, by the UID of its object.
#[derive(Default)]
pub(crate) struct Watchman {
    held: BTreeMap<String, (String, Vec<String>)>,
}

impl Watchman {
    /// Looks at all services at one moment: how many have addresses.
    ///
    /// # Errors
    /// If two have one address, or one has lost or changed what it had.
    pub(crate) fn look(&mut self, plane: &ControlPlane) -> Result<usize> {
        let list = plane.json("get services --all-namespaces")?;
        let items = list["items"].as_array().context("there is no list")?;
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut addressed = 0;
        for service in items {
            let name = service["metadata"]["name"].as_str().unwrap_or_default();
            let uid = service["metadata"]["uid"].as_str().unwrap_or_default();
            let addresses = addresses(service);
            for address in &addresses {
                if let Some(other) = owners.insert(address, name) {
                    bail!("{address} is given to {other} and to {name}");
                }
            }
            if let Some((_, held)) = self.held.get(uid)
                && held.iter().ne(&addresses)
            {
                bail!("{name} had {held:?} and has {addresses:?}");
            }
            if !addresses.is_empty() {
                addressed += 1;
                let addresses = addresses.iter().map(|addr| (*addr).to_owned()).collect();
                self.held
                    .insert(uid.to_owned(), (name.to_owned(), addresses));
            }
        }
        Ok(addressed)
    }
}

fn addresses(service: &Value) -> Vec<&str> {
    let ingress = service.pointer("/status/loadBalancer/ingress");
    let ingress = ingress.and_then(Value::as_array).into_iter().flatten();
    ingress.filter_map(|entry| entry["ip"].as_str()).collect()
}
