use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const POOL: &str = "\
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: pool}
spec:
  blocks:
    - cidr: 10.0.0.0/24
";

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  type: LoadBalancer\n  ports:\n    - port: 80\n"
    )
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn lines(path: &Path) -> Vec<String> {
    check(path).iter().map(ToString::to_string).collect()
}

fn names(path: &Path) -> Vec<String> {
    let listing = scan(path);
    let mut set = ManifestSet::new(&listing);
    for (name, file) in &listing.files {
        set.add(name, &FileRead::read(name, &file.path));
    }
    let set = set.finish();
    set.objects.keys().map(ToString::to_string).collect()
}

#[test]
fn valid_manifests_have_no_faults() {
    let dir = directory(&[
        ("pool.yaml", POOL),
        ("below/web.yml", &service("web")),
        (
            "below/deep/api.json",
            r#"{"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "api"}, "spec": {"ports": [{"port": 443}]}}"#,
        ),
        ("README.md", "not a manifest: ["),
        (".hidden.yaml", "["),
        (".git/x.yaml", "["),
        ("web.yaml~", "["),
        ("web.yaml.swp", "["),
        ("#web.yaml#", "["),
    ]);

    assert_eq!(lines(dir.path()), [""; 0]);
    assert_eq!(
        names(dir.path()),
        [
            "Service/default/api",
            "Service/shop/web",
            "CiliumLoadBalancerIPPool/pool"
        ]
    );
}

#[test]
fn the_examples_that_users_have_are_read() {
    let list = format!(
        "apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n{}{}",
        indented(&service("a")),
        indented(&service("b")),
    );
    let dir = directory(&[("list.yaml", &list)]);

    assert_eq!(lines(dir.path()), [""; 0]);
    assert_eq!(names(dir.path()), ["Service/shop/a", "Service/shop/b"]);
}

#[test]
fn a_fault_names_file_line_object_field_and_reason() {
    let dir = directory(&[
        (
            "pools.yaml",
            &format!(
                "{POOL}---\n{}",
                POOL.replace("name: pool", "name: other")
                    .replace("/24", "/99")
            ),
        ),
        (
            "web.yaml",
            &service("web").replace("port: 80", "port: eighty"),
        ),
        ("typo.yaml", &service("typo").replace("ports:", "portz:")),
    ]);

    let lines = lines(dir.path());

    let starts = [
        "pools.yaml:13: CiliumLoadBalancerIPPool/other: spec.blocks[0].cidr: ",
        "typo.yaml:6: Service/shop/typo: spec.portz: ",
        "web.yaml:7: Service/shop/web: spec.ports[0].port: ",
    ];
    for start in starts {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start}\n{lines:#?}"
        );
    }
    assert_eq!(names(dir.path()), ["CiliumLoadBalancerIPPool/pool"]);
}

#[test]
fn a_fault_in_a_list_has_the_line_of_its_item() {
    let bad = service("b").replace("port: 80", "port: 0");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}{}",
        indented(&service("a")),
        indented(&bad)
    );
    let dir = directory(&[("list.yaml", &list)]);

    let lines = lines(dir.path());

    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].starts_with("list.yaml:17: Service/shop/b: spec.ports[0].port: "),
        "{lines:#?}"
    );
    assert_eq!(names(dir.path()), ["Service/shop/a"]);
}

#[test]
fn a_duplicate_key_refuses_its_object_only() {
    let twice = service("web").replace(
        "  type: LoadBalancer\n",
        "  type: LoadBalancer\n  type: ClusterIP\n",
    );
    let dir = directory(&[("a.yaml", &format!("{twice}---\n{}", service("fine")))]);

    assert_eq!(
        lines(dir.path()),
        ["a.yaml:6: Service/shop/web: spec.type: the key is here twice, first on line 5"]
    );
    assert_eq!(names(dir.path()), ["Service/shop/fine"]);
}

#[test]
fn an_object_that_is_there_twice_is_refused_and_both_places_named() {
    let dir = directory(&[
        ("a.yaml", &format!("# first\n{}", service("web"))),
        ("b/b.yaml", &format!("{POOL}---\n{}", service("web"))),
    ]);

    assert_eq!(
        lines(dir.path()),
        [
            "a.yaml:2: Service/shop/web: (object): is there more than once: also at b/b.yaml:8",
            "b/b.yaml:8: Service/shop/web: (object): is there more than once: also at a.yaml:2",
        ]
    );
    assert_eq!(names(dir.path()), ["CiliumLoadBalancerIPPool/pool"]);
}

#[test]
fn a_file_that_is_cut_off_is_a_fault_with_its_line() {
    let cut = "apiVersion: v1\nkind: Service\nmetadata: {name: web,\n";
    let dir = directory(&[("cut.yaml", cut), ("pool.yaml", POOL)]);

    let lines = lines(dir.path());

    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("cut.yaml:3: ?/?: (file): not valid YAML: "),
        "{lines:#?}"
    );
    assert_eq!(names(dir.path()), ["CiliumLoadBalancerIPPool/pool"]);
}

#[test]
fn an_empty_file_is_not_believed_and_a_comment_is() {
    let dir = directory(&[("empty.yaml", ""), ("nothing.yaml", "# nothing\n")]);

    let lines = lines(dir.path());

    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("empty.yaml:1: ?/?: (file): the file is empty"),
        "{lines:#?}"
    );
}

#[test]
fn ten_megabytes_of_garbage_are_refused_without_reading_them() {
    let garbage = "\u{1}{[x".repeat(10_000_000 / 4);
    let dir = directory(&[("garbage.yaml", &garbage)]);

    assert_eq!(
        lines(dir.path()),
        ["garbage.yaml:1: ?/?: (file): the file is larger than 8 MiB"]
    );
}

#[test]
fn unknown_kinds_and_things_that_are_no_objects_are_faults() {
    let dir = directory(&[
        (
            "a.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n",
        ),
        ("b.yaml", "- just\n- a list\n"),
        (
            "c.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop}\n",
        ),
        (
            "d.yaml",
            "apiVersion: v2\nkind: Service\nmetadata: {name: web}\n",
        ),
        ("e.yaml", "hello\n"),
    ]);

    let lines = lines(dir.path());

    for start in [
        "a.yaml:2: Deployment/web: kind: ",
        "b.yaml:1: ?/?: (object): ",
        "c.yaml:3: Service/?: metadata.name: ",
        "d.yaml:1: Service/default/web: apiVersion: ",
        "e.yaml:1: ?/?: (object): ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(start)),
            "{start}\n{lines:#?}"
        );
    }
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_fault_is_one_line_whatever_is_in_the_file() {
    let dir = directory(&[(
        "a.yaml",
        "apiVersion: v1\nkind: \"Ser\\nvice\\e[31m\"\nmetadata: {name: \"x\\ny\"}\n\"a\\nb\": 1\n",
    )]);

    for line in lines(dir.path()) {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn what_cannot_be_read_is_a_fault_and_no_reading_waits() {
    let dir = directory(&[("web.yaml", &service("web"))]);
    symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
    symlink(".", dir.path().join("round")).unwrap();
    fs::create_dir(dir.path().join("dir.yaml")).unwrap();
    let pipe = dir.path().join("pipe.yaml");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );

    let lines = lines(dir.path());

    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("dangling.yaml:1: ?/?: (file): the file cannot be read: "));
    assert!(lines[1].starts_with("pipe.yaml:1: ?/?: (file): the file cannot be read: "));
    assert!(lines[2].starts_with("round:1: ?/?: (file): is not looked into"));
    assert_eq!(names(dir.path()), ["Service/shop/web"]);
    assert!(
        check(&dir.path().join("missing"))[0]
            .to_string()
            .starts_with(".:1: ?/?: (file): ")
    );
}

#[test]
fn a_single_file_can_be_checked() {
    let dir = directory(&[("web.yaml", &service("web").replace("80", "99999"))]);

    let lines = lines(&dir.path().join("web.yaml"));

    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("web.yaml:7: Service/shop/web: spec.ports[0].port: "),
        "{lines:#?}"
    );
}

fn indented(text: &str) -> String {
    let mut lines = text.lines().map(|line| format!("    {line}\n"));
    let first = lines.next().unwrap_or_default();
    format!("  - {}", first.trim_start()) + &lines.collect::<String>()
}

#[test]
fn a_secrets_values_are_in_no_fault() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: md5, namespace: kube-system}\n";
    for values in [
        "stringData: {password: 7355608}\n",
        "stringData: 7355608\n",
        "stringData: [s7355608]\n",
        "data: {password: '7355608!'}\n",
        "data: {password: [s7355608]}\n",
        "data: s7355608\n",
        "password: s7355608\n",
        "type: {a: s7355608}\n",
        "stringData: {password: a, password: s7355608}\n",
    ] {
        let dir = directory(&[("secret.yaml", &format!("{secret}{values}"))]);

        let lines = lines(dir.path());

        assert!(!lines.is_empty(), "{values}");
        assert!(!lines.concat().contains("7355608"), "{values}{lines:#?}");
    }
}
