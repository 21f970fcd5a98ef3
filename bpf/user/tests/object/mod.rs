//! The smallest objects that load: programs that return one verdict, and maps nobody reads.

use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

/// `struct bpf_map_def`: type, key size, value size, entries, flags.
pub(crate) type MapDef = [u32; 5];

/// An object with one XDP program that returns `verdict`, and these maps.
pub(crate) fn xdp_object(program: &str, verdict: u8, maps: &[(&str, MapDef)]) -> Vec<u8> {
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = elf.add_section(Vec::new(), b"license".into(), SectionKind::Data);
    elf.append_section_data(license, b"GPL\0", 1);
    let code = elf.add_section(Vec::new(), b"xdp".into(), SectionKind::Text);
    let insns = [
        [0xb7, 0, 0, 0, verdict, 0, 0, 0],
        [0x95, 0, 0, 0, 0, 0, 0, 0],
    ];
    let at = elf.append_section_data(code, &insns.concat(), 8);
    elf.add_symbol(symbol(
        program,
        at,
        16,
        SymbolKind::Text,
        SymbolSection::Section(code),
    ));
    let section = elf.add_section(Vec::new(), b"maps".into(), SectionKind::Data);
    for (name, def) in maps {
        let bytes: Vec<u8> = def.iter().flat_map(|word| word.to_le_bytes()).collect();
        let at = elf.append_section_data(section, &bytes, 4);
        elf.add_symbol(symbol(
            name,
            at,
            20,
            SymbolKind::Data,
            SymbolSection::Section(section),
        ));
    }
    elf.write().expect("an object in memory")
}

fn symbol(name: &str, value: u64, size: u64, kind: SymbolKind, section: SymbolSection) -> Symbol {
    Symbol {
        name: name.into(),
        value,
        size,
        kind,
        scope: SymbolScope::Dynamic,
        weak: false,
        section,
        flags: SymbolFlags::None,
    }
}
