//! `sluice service`.

use agent_api::{Backend, BackendHealth, BackendState, Drained, Service};
use anyhow::Result;
use hyper::Method;
use types::BackendAddr;

use super::cilium;
use crate::args::{Output, ServiceCommand};
use crate::called::Called;
use crate::client::Client;
use crate::output::print;
use crate::table::Table;

pub(super) fn run(
    client: &Client<'_>,
    output: Output,
    command: &ServiceCommand,
    called: Called,
) -> Result<bool> {
    match command {
        ServiceCommand::List => {
            let services: Vec<Service> = client.get("/v1/services")?;
            print(output, &services, |services, wide| {
                if called.expects_cilium() {
                    cilium::services(services)
                } else {
                    render(services, wide)
                }
            })?;
            Ok(true)
        }
        ServiceCommand::Drain { backend } => drain(client, output, &Method::PUT, *backend),
        ServiceCommand::Undrain { backend } => drain(client, output, &Method::DELETE, *backend),
    }
}

fn drain(
    client: &Client<'_>,
    output: Output,
    method: &Method,
    backend: BackendAddr,
) -> Result<bool> {
    let path = format!("/v1/drains/{}", escape(&backend.to_string()));
    let drained: Drained = client.ask(method, &path)?;
    print(output, &drained, |drained, _| {
        let what = if drained.drained {
            "is drained: no new flows, the flows it has stay"
        } else {
            "takes new flows again"
        };
        format!(
            "{} of {} {what}\n",
            drained.backend,
            drained.services.join(", ")
        )
    })?;
    Ok(true)
}

/// Brackets are not allowed in a path (RFC 3986 §3.3).
fn escape(backend: &str) -> String {
    backend.replace('[', "%5B").replace(']', "%5D")
}

fn render(services: &[Service], wide: bool) -> String {
    let mut table = Table::new([
        "Namespace",
        "Name",
        "VIP",
        "Ready",
        "Backend",
        "State",
        "Health",
    ]);
    for service in services {
        let lines = service.vips.len().max(service.backends.len()).max(1);
        for number in 0..lines {
            let first = |text: &str| {
                if number == 0 {
                    text.to_owned()
                } else {
                    String::new()
                }
            };
            let vip = match service.vips.get(number) {
                Some(vip) => vip.to_string(),
                None => first("<pending>"),
            };
            let [backend, state, health] = service
                .backends
                .get(number)
                .map(|b| cells(b, wide))
                .unwrap_or_default();
            table.row([
                first(&service.namespace),
                first(&service.name),
                vip,
                first(if service.ready { "yes" } else { "no" }),
                backend,
                state,
                health,
            ]);
        }
    }
    let mut text = table.render("No services.");
    for service in services {
        for note in &service.notes {
            text.push_str(&format!("{}/{}: {note}\n", service.namespace, service.name));
        }
    }
    text
}

fn cells(backend: &Backend, wide: bool) -> [String; 3] {
    let address = if wide {
        format!("{} (weight {})", backend.address, backend.weight)
    } else {
        backend.address.to_string()
    };
    let state = match backend.state {
        BackendState::Active => "active",
        BackendState::Draining => "draining",
        BackendState::Maintenance => "maintenance",
        BackendState::Quarantined => "quarantined",
    };
    let health = match backend.health {
        BackendHealth::Up => "up",
        BackendHealth::Down => "down",
        BackendHealth::Unknown => "unknown",
        BackendHealth::Unchecked => "-",
    };
    [address, state.to_owned(), health.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_without_addresses_is_pending() {
        let services = [Service {
            namespace: "shop".into(),
            name: "web".into(),
            vips: vec![],
            ready: false,
            notes: vec!["no pool".into()],
            backends: vec![],
        }];

        assert_eq!(
            render(&services, false),
            "Namespace   Name   VIP         Ready   Backend   State   Health\n\
             shop        web    <pending>   no\n\
             shop/web: no pool\n"
        );
    }
}
