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
        self.on_list(&plane.json("get services --all-namespaces")?)
    }

    fn on_list(&mut self, list: &Value) -> Result<usize> {
        let items = list["items"].as_array().context("there is no list")?;
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut addressed = 0;
        for service in items {
            let text = |pointer| service.pointer(pointer).and_then(Value::as_str);
            let name = text("/metadata/name").unwrap_or_default();
            let uid = text("/metadata/uid").unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_of_two_services_is_found() {
        let list = json!({"items": [service("a", "1", "10.0.0.1"), service("b", "2", "10.0.0.1")]});

        let error = Watchman::default().on_list(&list).unwrap_err();

        assert_eq!(error.to_string(), "10.0.0.1 is given to a and to b");
    }

    #[test]
    fn an_address_that_moves_or_is_lost_is_found_unless_the_service_is_another() {
        let mut watchman = Watchman::default();
        let look = |watchman: &mut Watchman, service| {
            watchman.on_list(&json!({"items": [service]})).is_ok()
        };

        assert!(look(&mut watchman, service("a", "1", "10.0.0.1")));
        assert!(!look(&mut watchman, service("a", "1", "10.0.0.2")));
        assert!(!look(
            &mut watchman,
            json!({"metadata": {"name": "a", "uid": "1"}})
        ));
        assert!(look(&mut watchman, service("a", "2", "10.0.0.2")));
    }

    fn service(name: &str, uid: &str, address: &str) -> Value {
        json!({
            "metadata": {"name": name, "uid": uid},
            "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
        })
    }
}
