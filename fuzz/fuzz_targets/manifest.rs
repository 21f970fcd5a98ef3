//! A file of manifests: YAML to a tree, and what is in it to objects.
#![no_main]

use api::{Object, Strictness};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    store::yaml::fuzz_yaml(bytes);
    let Ok(documents) = store::yaml::parse(bytes) else { return };
    for document in documents {
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            // Whatever is wrong with it is a refusal, never a panic.
            let _ = Object::from_value(document.value(), strictness);
        }
    }
});
