//! By what name the program was called: the image links it under Cilium's names too.

use std::ffi::OsStr;
use std::path::Path;

/// By what name the program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// `sluice`, or any other name.
    Sluice,
    /// `cilium`: Cilium's columns.
    Cilium,
    /// `cilium-dbg`: Cilium's columns, and always about this node.
    CiliumDbg,
}

impl Called {
    /// What the first word of the command line says.
    pub(crate) fn by(first: Option<&OsStr>) -> Self {
        let name = first.and_then(|first| Path::new(first).file_name());
        match name.and_then(OsStr::to_str) {
            Some("cilium") => Self::Cilium,
            Some("cilium-dbg") => Self::CiliumDbg,
            Some(_) | None => Self::Sluice,
        }
    }

    /// Whether the reader expects Cilium's columns.
    pub(crate) fn expects_cilium(self) -> bool {
        match self {
            Self::Cilium | Self::CiliumDbg => true,
            Self::Sluice => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_path_is_the_name() {
        for (first, called) in [
            ("sluice", Called::Sluice),
            ("/usr/local/bin/sluice", Called::Sluice),
            ("cilium", Called::Cilium),
            ("/usr/bin/cilium-dbg", Called::CiliumDbg),
            ("/opt/cilium/sluice", Called::Sluice),
        ] {
            assert_eq!(Called::by(Some(OsStr::new(first))), called, "{first}");
        }
        assert_eq!(Called::by(None), Called::Sluice);
    }
}
