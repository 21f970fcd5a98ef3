use api::{FieldPath, Step};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn values(text: &str) -> Vec<Value> {
    parse(text.as_bytes())
        .unwrap()
        .iter()
        .map(Document::value)
        .collect()
}

fn only(text: &str) -> Document {
    parse(text.as_bytes()).unwrap().remove(0)
}

fn bad(bytes: &[u8]) -> BadYaml {
    parse(bytes).unwrap_err()
}

#[test]
fn a_file_holds_many_documents_and_empty_ones_do_not_count() {
    let text = "# first\n---\na: 1\n---\n---\n# nothing\n...\n---\nb: [x, 'y', \"2\"]\n";

    assert_eq!(
        values(text),
        [json!({"a": 1}), json!({"b": ["x", "y", "2"]})]
    );
    assert_eq!(values(""), [] as [Value; 0]);
    assert_eq!(values("\u{feff}a: 1\r\n"), [json!({"a": 1})]);
}

#[test]
fn json_is_read_too_with_tabs_and_all() {
    let text = "{\n\t\"kind\": \"List\",\n\t\"items\": [\n\t\t{\"a\": null, \"b\": -1.5, \"c\": \"\\u00e9\\/\"}\n\t]\n}\n";

    assert_eq!(
        values(text),
        [json!({"kind": "List", "items": [{"a": null, "b": -1.5, "c": "é/"}]})]
    );
}

#[test]
fn what_is_quoted_is_never_a_number() {
    let text = "a: '5'\nb: \"true\"\nc: 5\nd: yes\ne: |\n  7\nf: !!str 9\ng:\n";

    assert_eq!(
        values(text),
        [json!({"a": "5", "b": "true", "c": 5, "d": "yes", "e": "7\n", "f": "9", "g": null})]
    );
}

#[test]
fn keys_are_their_text() {
    assert_eq!(
        values("80: a\ntrue: b\n~: c\n"),
        [json!({"80": "a", "true": "b", "~": "c"})]
    );
}

#[test]
fn a_field_is_found_on_its_line() {
    let document = only(
        "apiVersion: v1\nmetadata:\n  annotations:\n    lbipam.cilium.io/ips: x\n    lbipam: y\n\
         spec:\n  blocks:\n    - cidr: 10.0.0.0/24\n    - start: a\n      stop: b\n",
    );

    let field = |name: &str| Step::Field(name.to_owned());
    let ips = field("lbipam.cilium.io/ips");
    for (path, line) in [
        (vec![], 1),
        (vec![field("nothing")], 1),
        (vec![field("metadata")], 2),
        (vec![field("metadata"), field("annotations"), ips], 4),
        (
            vec![
                field("spec"),
                field("blocks"),
                Step::Index(0),
                field("cidr"),
            ],
            8,
        ),
        (vec![field("spec"), field("blocks"), Step::Index(1)], 9),
        (
            vec![
                field("spec"),
                field("blocks"),
                Step::Index(1),
                field("stop"),
            ],
            10,
        ),
        (
            vec![
                field("spec"),
                field("blocks"),
                Step::Index(1),
                field("missing"),
            ],
            9,
        ),
        (
            vec![
                field("spec"),
                field("blocks"),
                Step::Index(7),
                field("cidr"),
            ],
            7,
        ),
        (vec![field("spec"), field("missing"), field("deeper")], 6),
        (vec![Step::Index(0)], 1),
    ] {
        assert_eq!(document.line_of(&path), line, "{path:?}");
    }
}

#[test]
fn aliases_are_written_out_and_known_in_their_document_only() {
    assert_eq!(
        values("a: &x {k: [1, 2]}\nb: *x\n"),
        [json!({"a": {"k": [1, 2]}, "b": {"k": [1, 2]}})]
    );
    assert_eq!(bad(b"a: &x 1\n---\nb: *x\n").line, 3);
    assert_eq!(bad(b"a: &x [*x]\n").reason, BadYamlReason::UnknownAnchor);
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let items = [alias.as_str(); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }

    let error = bad(text.as_bytes());

    assert_eq!(error.reason, BadYamlReason::Expansion);
    assert_eq!(error.line, 7);
}

#[test]
fn a_long_text_is_not_repeated_without_end() {
    let mut text = format!("a: &a \"{}\"\nb:\n", "x".repeat(1 << 20));
    text.push_str(&"- *a\n".repeat(40));

    assert_eq!(bad(text.as_bytes()).reason, BadYamlReason::Expansion);
}

#[test]
fn a_duplicate_key_is_a_fault_of_its_document_with_both_lines() {
    let documents = parse(b"a:\n  b: 1\n  c: 2\n  b: {d: 3}\n---\nfine: 1\n").unwrap();

    assert_eq!(
        documents[0].faults(),
        [TreeFault {
            line: 4,
            path: FieldPath::new(vec![Step::Field("a".into()), Step::Field("b".into())]),
            reason: TreeFaultReason::DuplicateKey { first: 2 },
        }]
    );
    assert_eq!(documents[0].value(), json!({"a": {"b": 1, "c": 2}}));
    assert!(documents[1].faults().is_empty());
}

#[test]
fn what_json_cannot_say_is_a_fault_of_its_document() {
    let cases = [
        ("a: .inf\n", "a", TreeFaultReason::NotFinite),
        ("a:\n  <<: {b: 1}\n", "a.<<", TreeFaultReason::MergeKey),
        ("a: {[x, y]: 1}\n", "a", TreeFaultReason::KeyIsNotText),
        (
            "a: {? {x: y} : {z: 1}}\n",
            "a",
            TreeFaultReason::KeyIsNotText,
        ),
        (
            "a: &x 1\n*x : 2\n",
            "(object)",
            TreeFaultReason::KeyIsNotText,
        ),
        (
            "a: !!int x\n",
            "a",
            TreeFaultReason::Tag("tag:yaml.org,2002:!int".into()),
        ),
        ("a: !mine x\n", "a", TreeFaultReason::Tag("!mine".into())),
        (
            "a: !!omap []\n",
            "a",
            TreeFaultReason::Tag("tag:yaml.org,2002:!omap".into()),
        ),
    ];
    for (text, field, reason) in cases {
        let document = only(text);
        let faults: Vec<_> = document
            .faults()
            .iter()
            .map(|fault| (fault.path.to_string(), fault.reason.clone()))
            .collect();
        assert_eq!(faults, [(field.to_owned(), reason)], "{text}");
    }
}

#[test]
fn a_file_cut_in_the_middle_is_refused_with_its_line() {
    for (text, line) in [
        ("a:\n  b: [1, 2\n", 3),
        ("a:\n  b: {c: 1,\n", 3),
        ("a:\n  b: \"text\n", 3),
        ("a:\n  b: 1\n c: 2\n", 3),
        ("a:\n\tb: 1\n", 2),
        ("a: b: c\n", 1),
    ] {
        let error = bad(text.as_bytes());
        assert!(
            matches!(error.reason, BadYamlReason::Syntax(_)),
            "{text}: {error}"
        );
        assert!(
            error.line.abs_diff(line) <= 1,
            "{text}: line {}",
            error.line
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    assert_eq!(
        bad(b"a: 1\nb: \xff\n"),
        BadYaml {
            line: 2,
            reason: BadYamlReason::NotUtf8
        }
    );
    assert_eq!(
        bad(b"a: 1\n\n\0b: 2\n"),
        BadYaml {
            line: 3,
            reason: BadYamlReason::ControlCharacter('\0')
        }
    );
}

#[test]
fn ten_megabytes_of_garbage_are_refused_by_size_alone() {
    let garbage: Vec<u8> = (0..10_000_000_u32)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();

    assert_eq!(bad(&garbage).reason, BadYamlReason::TooLarge);
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(100_000),
    ] {
        assert!(matches!(
            bad(text.as_bytes()).reason,
            BadYamlReason::TooDeep | BadYamlReason::Syntax(_)
        ),);
    }
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(parse(deep.as_bytes()).is_ok());
    let deeper = format!("[{deep}]");
    assert_eq!(bad(deeper.as_bytes()).reason, BadYamlReason::TooDeep);
}

const MANIFEST: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: &l {org: \"empire\"}}
spec:
  type: LoadBalancer
  selector: *l
  ports:
    - port: 80   # comment
      name: 'http'
  text: |
    line one
    line two
  folded: >-
    a
    b
---
kind: List
items: [{a: 1}, {b: ~}, !!str 5]
";

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[ -~éß\\n\\t]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z./-]{1,8}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        fuzz_yaml(&bytes);
    }

    #[test]
    fn random_yaml_signs_never_panic(text in "[-\\[\\]{}:,?&*!|>'\"%@`# \\n\\tab0.~<]{0,120}") {
        fuzz_yaml(text.as_bytes());
    }

    #[test]
    fn a_mutated_manifest_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8),
    ) {
        let mut bytes = MANIFEST.as_bytes().to_vec();
        for (index, byte, how) in edits {
            let at = index.index(bytes.len().max(1));
            match how {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        fuzz_yaml(&bytes);
    }

    #[test]
    fn json_means_what_it_says(value in json_value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let expected: Vec<_> = Some(value).filter(|value| !value.is_null()).into_iter().collect();

        prop_assert_eq!(values(&text), expected);
    }
}
