//! Manifests that are wrong: refused by place and reason, and nothing that ran is touched.

use anyhow::{Result, ensure};
use integration::topology::manifests::{endpoints, service};
use integration::topology::single::{BACKENDS_V4, BACKENDS_V6};
use integration::{lab, until};

use crate::node::{Node, PATIENCE, VIPS, base, web};

/// A manifest of a wrong type is refused as FILE:LINE: KIND/NAME: FIELD: reason, its object goes on
/// as it was, and once it is repaired nothing is said of it.
#[test]
fn a_manifest_that_does_not_validate_is_named_and_what_ran_stays() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        let bad = web().replace("port: 80, protocol: TCP}]\n---", "port: eighty}]\n---");

        node.network.manifests.put("web.yaml", &bad)?;

        let refused = refusals(&node, 1)?;
        ensure!(
            refused[0].starts_with("web.yaml:14: Service/shop/web: spec.ports[0].port: "),
            "{refused:?}"
        );
        let text = String::from_utf8(node.agent.ask("status")?.stdout)?;
        ensure!(
            text.contains("Refused (what ran before keeps running)"),
            "{text}"
        );
        node.answers(&VIPS)?;
        node.network.manifests.put("web.yaml", web())?;
        refusals(&node, 0)?;
        node.never_withdrawn()
    });
}

/// Whatever is wrong with a file (cut in the middle, an unknown field, a name twice, 10 MB of
/// garbage, nothing in it), it is named, and address, table and route stay.
#[test]
fn no_kind_of_bad_file_takes_anything_away() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        let good = web();
        let cut = good.split_at(good.len() / 2).0;
        let unknown = good.replace("  type: LoadBalancer", "  typ: LoadBalancer");
        let garbage: Vec<u8> = (0..10_u32 << 20)
            .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        let twice = format!("{good}{}", service("web", ""));
        let not_utf8 = [good.as_bytes(), b"\n# \xff\xfe\n"].concat();
        let cases: [(&str, &[u8], &str); 6] = [
            ("cut", cut.as_bytes(), "web.yaml:"),
            ("unknown field", unknown.as_bytes(), "spec.typ"),
            ("name twice", twice.as_bytes(), "Service/shop/web"),
            ("garbage", &garbage, "web.yaml:"),
            ("not text", &not_utf8, "web.yaml:"),
            ("empty", b"", "the file is empty"),
        ];
        for (case, bytes, words) in cases {
            node.network.manifests.put("web.yaml", bytes)?;
            let refused = until(case, PATIENCE, || {
                let refused = said(&node)?;
                let is_said = refused.iter().any(|line| line.contains(words));
                ensure!(is_said, "{case}: {refused:?}");
                Ok(refused)
            })?;
            ensure!(
                refused.iter().all(|line| line.len() < 1000),
                "{case}: a reason of {} bytes",
                refused.iter().map(String::len).max().unwrap_or(0)
            );
            node.answers(&VIPS)?;
            node.network.manifests.put("web.yaml", &good)?;
            refusals(&node, 0)?;
        }
        node.ready()?;
        node.never_withdrawn()
    });
}

/// Two files that name the same object are both refused where they name it, until one is gone.
#[test]
fn an_object_in_two_files_is_refused_until_one_is_gone() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;

        node.network
            .manifests
            .put("web-copy.yaml", service("web", ""))?;

        until("the second is refused", PATIENCE, || {
            let refused = said(&node)?;
            let names_both = refused
                .iter()
                .any(|line| line.contains("Service/shop/web") && line.contains("web.yaml"));
            ensure!(names_both, "{refused:?}");
            Ok(())
        })?;
        node.answers(&VIPS)?;
        node.network.manifests.remove("web-copy.yaml")?;
        refusals(&node, 0)?;
        node.never_withdrawn()
    });
}

/// An editor's rename over a file is one change: the new backends are in beside the old ones, and
/// no object is gone in between.
#[test]
fn a_file_that_is_replaced_by_rename_is_one_change() {
    lab::run_programs(|lab| {
        let node = Node::with_web(lab)?;
        let all = BACKENDS_V4.into_iter().chain(BACKENDS_V6);
        let all: Vec<_> = all.map(|address| (address, "ready: true")).collect();

        let text = service("web", "") + &endpoints("web", &all);
        node.network.manifests.put("web.yaml", text)?;

        until("the new backends are there", PATIENCE, || {
            let service = node.service("web")?;
            let addresses: Vec<String> = service
                .backends
                .iter()
                .map(|backend| backend.address.addr.to_string())
                .collect();
            let wanted: Vec<_> = all.iter().map(|(address, _)| *address).collect();
            ensure!(addresses == wanted, "{addresses:?}");
            Ok(())
        })?;
        node.never_withdrawn()
    });
}

/// A node that starts with a bad file beside good ones runs what is good.
#[test]
fn a_node_starts_with_what_is_good() {
    lab::run_programs(|lab| {
        let files = [
            ("10-base.yaml", base()),
            ("web.yaml", web()),
            ("zz-bad.yaml", "kind: Servce\napiVersion: v1\n".to_owned()),
        ];
        let node = Node::start(lab, &files)?;

        node.announced(&VIPS)?;

        let refused = refusals(&node, 1)?;
        ensure!(refused[0].starts_with("zz-bad.yaml:"), "{refused:?}");
        Ok(())
    });
}

/// Waits until `count` things are refused: each as FILE:LINE: KIND/NAME: FIELD: reason.
fn refusals(node: &Node, count: usize) -> Result<Vec<String>> {
    until(&format!("{count} are refused"), PATIENCE, || {
        let said = said(node)?;
        ensure!(said.len() == count, "{said:?}");
        Ok(said)
    })
}

fn said(node: &Node) -> Result<Vec<String>> {
    let refused = node.agent.status()?.refused;
    Ok(refused
        .into_iter()
        .map(|refused| {
            let place = refused.place.unwrap_or_default();
            format!("{place}: {}: {}", refused.object, refused.reason)
        })
        .collect())
}
