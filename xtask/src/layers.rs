//! The table of layers: what a crate of each layer may depend on.

/// What one layer allows.
pub(crate) struct Layer {
    /// As in a manifest's `[package.metadata]`.
    pub(crate) name: &'static str,
    /// Layers that it may build on.
    pub(crate) below: &'static [&'static str],
    /// Third-party crates that it may reach, at any depth.
    pub(crate) external: External,
}

/// Third-party crates of a layer.
pub(crate) enum External {
    /// These and no others.
    Only(&'static [&'static str]),
    /// Any: the layer touches the world.
    Any,
}

/// Data crates: formats, errors, prefixes. No sockets, clocks, tasks or logs.
const DATA: &[&str] = &[
    "equivalent",
    "hashbrown",
    "indexmap",
    "ipnet",
    "itoa",
    "jiff",
    "jiff-core",
    "memchr",
    "num-traits",
    "autocfg",
    "base64",
    "dyn-clone",
    "proc-macro2",
    "quote",
    "ref-cast",
    "ref-cast-impl",
    "ryu",
    "schemars",
    "schemars_derive",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_derive_internals",
    "serde_ignored",
    "serde_json",
    "serde_path_to_error",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
    "zmij",
];

/// Every layer, lowest first.
pub(crate) const LAYERS: &[Layer] = &[
    // Runs in the kernel and on the host: nothing but itself.
    Layer {
        name: "common",
        below: &["common"],
        external: External::Only(&[]),
    },
    Layer {
        name: "pure",
        below: &["pure", "common"],
        external: External::Only(DATA),
    },
    Layer {
        name: "desired",
        below: &["pure", "common"],
        external: External::Only(DATA),
    },
    // A shell never uses another feature's shell; deps.rs checks the feature too.
    Layer {
        name: "build",
        below: &[],
        external: External::Any,
    },
    Layer {
        name: "kernel-shell",
        below: &["pure", "common"],
        external: External::Any,
    },
    Layer {
        name: "shell",
        below: &["pure", "common", "kernel-shell", "build"],
        external: External::Any,
    },
    Layer {
        name: "store",
        below: &["pure"],
        external: External::Any,
    },
    Layer {
        name: "operator",
        below: &["pure", "desired", "store"],
        external: External::Any,
    },
    Layer {
        name: "agent",
        below: &[
            "pure",
            "common",
            "desired",
            "kernel-shell",
            "shell",
            "store",
            "operator",
        ],
        external: External::Any,
    },
    Layer {
        name: "cli",
        below: &[
            "pure",
            "common",
            "desired",
            "kernel-shell",
            "shell",
            "store",
        ],
        external: External::Any,
    },
    Layer {
        name: "integration",
        below: &[
            "pure",
            "common",
            "desired",
            "kernel-shell",
            "shell",
            "store",
        ],
        external: External::Any,
    },
    Layer {
        name: "xtask",
        below: &[],
        external: External::Any,
    },
];

/// The one place that a crate of a layer may not reach although the layer below is allowed:
/// cores and shells know no objects and no store.
pub(crate) const ONLY_FROM: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "desired",
            "store",
            "operator",
            "agent",
            "cli",
            "integration",
        ],
    ),
    (
        "lb-ipam",
        &["desired", "operator", "agent", "cli", "integration"],
    ),
];
