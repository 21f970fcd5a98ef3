//! The definitions in `configs/crds` are those of the code.

use std::path::Path;

/// Set to write the files instead of comparing them.
const UPDATE: &str = "SLUICE_UPDATE";

#[test]
fn the_files_of_definitions_are_the_generated_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/crds");
    let update = std::env::var_os(UPDATE).is_some();

    for definition in api::crd::all() {
        let name = definition["spec"]["names"]["plural"].as_str().unwrap();
        let file = folder.join(format!("{name}.yaml"));
        let text = serde_saphyr::to_string(&definition).unwrap();
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            found == text,
            "{} is not what the code generates; run the test with {UPDATE}=1 to write it",
            file.display()
        );
    }
}
