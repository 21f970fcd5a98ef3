//! Changes one document of a manifest file and leaves the others to the letter: no files.

use api::Key;
use serde_json::Value;

use super::file::{FileRead, ReadObject};
use crate::yaml::Document;

/// Why a file's text cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadEdit {
    /// It is one of several in a document.
    #[error("the object is an item of a List: edit the file by hand")]
    InList,
    /// Its documents cannot be told apart line by line.
    #[error("the file has YAML directives or ends of documents: edit it by hand")]
    Directives,
    /// Something else would change too.
    #[error("the file cannot be changed without changing more than this object: edit it by hand")]
    Entangled,
}

/// The text of a file that has this object alone.
pub(super) fn rendered(file: &str, manifest: &Value) -> String {
    let json = || format!("{manifest:#}\n");
    if file.ends_with(".json") {
        return json();
    }
    let yaml = serde_saphyr::to_string(manifest).unwrap_or_else(|_| json());
    // JSON is YAML too, if what was written does not read as what it was.
    if says(&yaml, manifest) { yaml } else { json() }
}

/// The text with another document for the object.
pub(super) fn replaced(
    file: &str,
    text: &str,
    key: &Key,
    manifest: &Value,
) -> Result<String, BadEdit> {
    let parts = parts(file, text, key)?;
    if parts.before.is_empty() && parts.after.is_empty() && file.ends_with(".json") {
        return Ok(rendered(file, manifest));
    }
    let head = head(parts.document);
    let body = rendered("document.yaml", manifest);
    let edited = format!("{}{head}{body}{}", parts.before, parts.after);
    let is_right = |read: &FileRead| {
        let mut found = read.objects.iter().filter(|object| object.key == *key);
        let is_new = |found: &ReadObject| found.manifest.as_ref().is_ok_and(|is| **is == *manifest);
        found.next().is_some_and(is_new) && found.next().is_none()
    };
    checked(file, text, edited, key, is_right)
}

/// The text without the object's document; none if there is nothing left to keep.
pub(super) fn removed(file: &str, text: &str, key: &Key) -> Result<Option<String>, BadEdit> {
    let parts = parts(file, text, key)?;
    let edited = format!("{}{}", parts.before, parts.after);
    let is_blank = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    if edited.lines().all(is_blank) {
        return Ok(None);
    }
    let is_gone = |read: &FileRead| read.objects.iter().all(|object| object.key != *key);
    checked(file, text, edited, key, is_gone).map(Some)
}

/// A text and one of its documents.
struct Parts<'t> {
    before: &'t str,
    document: &'t str,
    after: &'t str,
}

fn parts<'t>(file: &str, text: &'t str, key: &Key) -> Result<Parts<'t>, BadEdit> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('%') || is_marker(line, "...") {
            return Err(BadEdit::Directives);
        }
        if at > 0 && is_marker(line, "---") {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(text.len());
    for (start, end) in starts.iter().zip(starts.iter().skip(1)) {
        let document = text.get(*start..*end).unwrap_or_default();
        let read = FileRead::parse(file, document.as_bytes());
        let mut keys = read.objects.iter().map(|object| &object.key);
        let is_here = read.objects.iter().any(|object| object.key == *key);
        if !is_here {
            continue;
        }
        if keys.next() != Some(key) || keys.next().is_some() || is_list(document) {
            return Err(BadEdit::InList);
        }
        return Ok(Parts {
            before: text.get(..*start).unwrap_or_default(),
            document,
            after: text.get(*end..).unwrap_or_default(),
        });
    }
    Err(BadEdit::Entangled)
}

/// The edited text, if all other objects in it are as they were.
fn checked(
    file: &str,
    before: &str,
    edited: String,
    key: &Key,
    is_right: impl Fn(&FileRead) -> bool,
) -> Result<String, BadEdit> {
    let others = |text: &str| {
        let read = FileRead::parse(file, text.as_bytes());
        let others = read.objects.iter().filter(|object| object.key != *key);
        let others = others.map(|object| (object.key.clone(), object.manifest.clone().ok()));
        others.collect::<Vec<_>>()
    };
    let read = FileRead::parse(file, edited.as_bytes());
    if is_right(&read) && others(before) == others(&edited) {
        Ok(edited)
    } else {
        Err(BadEdit::Entangled)
    }
}

/// The marker and the comments that a document begins with.
fn head(document: &str) -> String {
    let mut head = String::new();
    for line in document.split_inclusive('\n') {
        let text = line.trim();
        if is_marker(line, "---") {
            head.push_str("---\n");
        } else if text.is_empty() || text.starts_with('#') {
            head.push_str(line);
        } else {
            break;
        }
    }
    head
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_list(document: &str) -> bool {
    let documents = crate::yaml::parse(document.as_bytes()).unwrap_or_default();
    let mut values = documents.iter().map(Document::value);
    values.any(|value| value.get("kind").is_some_and(|kind| kind == "List"))
}

fn says(text: &str, manifest: &Value) -> bool {
    let documents = crate::yaml::parse(text.as_bytes()).unwrap_or_default();
    match documents.as_slice() {
        [only] => only.faults().is_empty() && only.value() == *manifest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use api::Kind;
    use serde_json::json;
    use types::ObjectName;

    use super::*;

    const TWO: &str = "# Addresses of the shop.\n\
        apiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\nmetadata: {name: blue}\n\
        spec:\n  blocks: [{cidr: 10.0.0.0/24}] # ours\n\
        --- # the other one\n# Kept.\n\
        apiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\nmetadata: {name: green}\n\
        spec:\n  blocks: [{cidr: 10.0.1.0/24}]\n";

    #[test]
    fn one_document_is_replaced_and_the_other_stays_to_the_letter() {
        let edited = replaced("a.yaml", TWO, &key("green"), &pool("green", "10.0.2.0/24")).unwrap();

        let (first, second) = edited.split_once("---\n").unwrap();
        assert!(TWO.starts_with(first));
        assert!(second.starts_with("# Kept.\n"), "{second}");
        assert!(second.contains("10.0.2.0/24"), "{second}");
    }

    #[test]
    fn the_last_document_takes_the_file_with_it() {
        let one = removed("a.yaml", TWO, &key("blue")).unwrap().unwrap();
        assert!(one.starts_with("--- # the other one\n"), "{one}");

        assert_eq!(removed("a.yaml", &one, &key("green")), Ok(None));
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let list = json!({
            "apiVersion": "v1", "kind": "List", "items": [pool("blue", "10.0.0.0/24")],
        });
        let list = list.to_string();
        let directive = format!("%YAML 1.2\n---\n{}", pool("blue", "10.0.0.0/24"));

        assert_eq!(removed("a.json", &list, &key("blue")), Err(BadEdit::InList));
        assert_eq!(
            removed("a.yaml", &directive, &key("blue")),
            Err(BadEdit::Directives)
        );
        assert_eq!(removed("a.yaml", TWO, &key("red")), Err(BadEdit::Entangled));
    }

    #[test]
    fn a_document_in_a_block_is_no_document() {
        let text = "apiVersion: cilium.io/v2\nkind: CiliumLoadBalancerIPPool\n\
            metadata:\n  name: blue\n  annotations:\n    example.org/note: |\n      ---\n      kind: x\n\
            spec:\n  blocks: [{cidr: 10.0.0.0/24}]\n";

        let edited = replaced("a.yaml", text, &key("blue"), &pool("blue", "10.0.3.0/24")).unwrap();

        assert!(!edited.contains("note"), "{edited}");
    }

    #[test]
    fn what_is_written_reads_as_what_it_was() {
        for text in [
            "yes", "1.0", "0x1f", "", " a", "a: b", "#", "~", "null", "a\nb\n", "é",
        ] {
            let manifest = json!({"metadata": {"annotations": {"a": text}}, "n": 1.5, "l": [[]]});
            for file in ["a.yaml", "a.json"] {
                assert!(says(&rendered(file, &manifest), &manifest), "{text:?}");
            }
        }
    }

    fn key(name: &str) -> Key {
        Key::new(Kind::CiliumLoadBalancerIPPool, ObjectName::of_cluster(name))
    }

    fn pool(name: &str, cidr: &str) -> Value {
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
            "metadata": {"name": name}, "spec": {"blocks": [{"cidr": cidr}]},
        })
    }
}
