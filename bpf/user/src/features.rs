//! Says by name what the running kernel lacks.

use std::fmt;
use std::fs;
use std::io;

use aya::maps::{Array, MapData};

use crate::sys::{Insn, contains, load_probe};

/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_XDP_HAS_FRAGS`.
const HAS_FRAGS: u32 = 1 << 5;
/// `bpf_xdp_load_bytes`, by its number.
const XDP_LOAD_BYTES: i32 = 189;

/// Something that the datapath cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// bpf(2) itself, and the right to use it.
    Bpf,
    /// The kernel describes its own types.
    Btf,
    /// Arrays that a process maps into its memory.
    MappedArrays,
    /// XDP programs attached by a link.
    XdpLinks,
    /// XDP programs for packets of several fragments.
    XdpFrags,
    /// The helper `bpf_xdp_load_bytes`.
    XdpLoadBytes,
}

/// The kernel lacks something.
#[derive(Debug, thiserror::Error)]
#[error("this kernel lacks {}", list(.0))]
pub struct MissingFeatures(pub Vec<Feature>);

impl Feature {
    const ALL: [Self; 6] = [
        Self::Bpf,
        Self::Btf,
        Self::MappedArrays,
        Self::XdpLinks,
        Self::XdpFrags,
        Self::XdpLoadBytes,
    ];

    fn is_there(self) -> bool {
        match self {
            Self::Bpf => load_probe(&PASS, 0).is_ok(),
            Self::Btf => fs::metadata(KERNEL_TYPES).is_ok(),
            Self::MappedArrays => Array::<MapData, u64>::create(1, MMAPABLE).is_ok(),
            // No program can be attached for a try without an interface that may lose packets.
            Self::XdpLinks => kernel_has_type("bpf_xdp_link").unwrap_or(false),
            Self::XdpFrags => load_probe(&PASS, HAS_FRAGS).is_ok(),
            Self::XdpLoadBytes => load_probe(&LOAD_BYTES, 0).is_ok(),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bpf => "bpf(2) for XDP programs (CONFIG_BPF_SYSCALL, CAP_BPF and CAP_NET_ADMIN)",
            Self::Btf => "BTF in /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)",
            Self::MappedArrays => "BPF_F_MMAPABLE arrays (Linux 5.5)",
            Self::XdpLinks => "XDP links (Linux 5.9)",
            Self::XdpFrags => "xdp.frags (Linux 5.18)",
            Self::XdpLoadBytes => "bpf_xdp_load_bytes (Linux 5.18)",
        })
    }
}

/// Tries each feature once, without a trace.
///
/// # Errors
/// Names what is missing.
pub fn probe() -> Result<(), MissingFeatures> {
    judge(Feature::is_there)
}

/// Names what is missing, if anything is.
fn judge(is_there: impl Fn(Feature) -> bool) -> Result<(), MissingFeatures> {
    let missing: Vec<_> = Feature::ALL
        .into_iter()
        .filter(|feature| !is_there(*feature))
        .collect();
    // Without the first, the others tell nothing.
    match missing.first() {
        None => Ok(()),
        Some(Feature::Bpf) => Err(MissingFeatures(vec![Feature::Bpf])),
        Some(_) => Err(MissingFeatures(missing)),
    }
}

const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// `return XDP_PASS`
const PASS: [Insn; 2] = [insn(0xb7, 0, 0, 2), EXIT];

/// `bpf_xdp_load_bytes(ctx, 0, stack - 8, 1); return XDP_PASS`
const LOAD_BYTES: [Insn; 7] = [
    insn(0xb7, 2, 0, 0),
    insn(0xbf, 3, 10, 0),
    insn(0x07, 3, 0, -8),
    insn(0xb7, 4, 0, 1),
    insn(0x85, 0, 0, XDP_LOAD_BYTES),
    insn(0xb7, 0, 0, 2),
    EXIT,
];

const EXIT: Insn = insn(0x95, 0, 0, 0);

const fn insn(code: u8, to: u8, from: u8, immediate: i32) -> Insn {
    Insn {
        code,
        registers: from << 4 | to,
        offset: 0,
        immediate,
    }
}

/// Whether the kernel's own type information names a type.
fn kernel_has_type(name: &str) -> io::Result<bool> {
    let types = fs::read(KERNEL_TYPES)?;
    let string = format!("\0{name}\0");
    Ok(contains(&types, string.as_bytes()))
}

fn list(features: &[Feature]) -> String {
    let names: Vec<_> = features.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoadError;

    #[test]
    fn each_feature_that_a_kernel_lacks_is_named_with_its_first_version() {
        let said = |lacks: Feature| {
            let refused = judge(|feature| feature != lacks).unwrap_err();
            assert_eq!(refused.0, [lacks]);
            refused.to_string()
        };

        let named = Feature::ALL.map(said);

        assert_eq!(
            named,
            [
                "this kernel lacks bpf(2) for XDP programs (CONFIG_BPF_SYSCALL, CAP_BPF and \
                 CAP_NET_ADMIN)",
                "this kernel lacks BTF in /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)",
                "this kernel lacks BPF_F_MMAPABLE arrays (Linux 5.5)",
                "this kernel lacks XDP links (Linux 5.9)",
                "this kernel lacks xdp.frags (Linux 5.18)",
                "this kernel lacks bpf_xdp_load_bytes (Linux 5.18)",
            ]
        );
    }

    #[test]
    fn a_kernel_with_everything_lacks_nothing() {
        assert!(judge(|_| true).is_ok());
    }

    #[test]
    fn without_bpf_nothing_else_is_blamed() {
        let refused = judge(|_| false).unwrap_err();

        assert_eq!(refused.0, [Feature::Bpf]);
    }

    #[test]
    fn a_program_is_not_loaded_for_a_reason_that_names_the_feature() {
        let refused = LoadError::from(MissingFeatures(vec![Feature::XdpFrags]));

        assert_eq!(
            refused.to_string(),
            "this kernel lacks xdp.frags (Linux 5.18)"
        );
    }

    #[test]
    fn a_type_is_found_by_its_whole_name() {
        assert!(contains(b"\0int\0bpf_link\0", b"\0bpf_link\0"));
        assert!(!contains(b"\0bpf_link_old\0", b"\0bpf_link\0"));
        assert!(!contains(b"", b"\0bpf_link\0"));
    }

    #[test]
    fn what_is_missing_is_said_by_name() {
        let missing = MissingFeatures(vec![Feature::XdpLinks, Feature::XdpFrags]);

        assert_eq!(
            missing.to_string(),
            "this kernel lacks XDP links (Linux 5.9), xdp.frags (Linux 5.18)"
        );
    }
}
