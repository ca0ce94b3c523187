//! Column definitions as the server sends them before the rows.

use mysql_common::constants::{ColumnFlags, ColumnType};

use super::packet::Cursor;

/// What MariaDB's extended metadata says beyond the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ext {
    /// Nothing, or nothing that matters here.
    #[default]
    None,
    Json,
    Uuid,
    Inet4,
    Inet6,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnDef {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
    pub(crate) flags: ColumnFlags,
    /// Collation; 63 marks bytes, and everything that is not a string.
    pub(crate) charset: u16,
    /// Display length in bytes.
    pub(crate) length: u32,
    pub(crate) decimals: u8,
    pub(crate) ext: Ext,
}

/// Collation `binary`.
const BINARY: u16 = 63;

impl ColumnDef {
    pub(crate) fn parse(packet: &[u8], extended: bool) -> Option<ColumnDef> {
        let mut c = Cursor(packet);
        for _ in 0..4 {
            c.lenenc_bytes()?; // catalog, schema, table, original table
        }
        let name = String::from_utf8_lossy(c.lenenc_bytes()?).into_owned();
        c.lenenc_bytes()?; // original name
        let ext = if extended { parse_ext(c.lenenc_bytes()?)? } else { Ext::None };
        c.lenenc()?; // length of what follows
        let charset = c.u16()?;
        let length = c.u32()?;
        let kind = ColumnType::try_from(c.u8()?).unwrap_or(ColumnType::MYSQL_TYPE_UNKNOWN);
        let flags = ColumnFlags::from_bits_truncate(c.u16()?);
        let decimals = c.u8()?;
        Some(ColumnDef { name, kind, flags, charset, length, decimals, ext })
    }

    pub(crate) fn is_binary(&self) -> bool {
        self.charset == BINARY
    }

    pub(crate) fn is_unsigned(&self) -> bool {
        self.flags.contains(ColumnFlags::UNSIGNED_FLAG)
    }

    /// Characters a value needs at most, as Connector/J's `getColumnDisplaySize`: the length in
    /// bytes over the bytes of the widest character. Our sessions only see utf8mb4 and bytes.
    pub(crate) fn display_size(&self) -> usize {
        let bytes = usize::try_from(self.length).unwrap_or(usize::MAX);
        if self.is_binary() { bytes } else { bytes / 4 }
    }
}

/// MariaDB documentation, "Result Set Packets": pairs of a kind byte (0 type, 1 format) and a
/// string.
fn parse_ext(bytes: &[u8]) -> Option<Ext> {
    let mut c = Cursor(bytes);
    let mut ext = Ext::None;
    while !c.0.is_empty() {
        let kind = c.u8()?;
        ext = match (kind, c.lenenc_bytes()?) {
            (1, b"json") => Ext::Json,
            (0, b"uuid") => Ext::Uuid,
            (0, b"inet4") => Ext::Inet4,
            (0, b"inet6") => Ext::Inet6,
            _ => ext,
        };
    }
    Some(ext)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extended_metadata_names_json_and_uuid() {
        assert_eq!(parse_ext(b""), Some(Ext::None));
        assert_eq!(parse_ext(b"\x01\x04json"), Some(Ext::Json));
        assert_eq!(parse_ext(b"\x00\x04uuid"), Some(Ext::Uuid));
        assert_eq!(parse_ext(b"\x00\x05point"), Some(Ext::None));
        assert_eq!(parse_ext(b"\x00\x05poi"), None);
    }

    proptest! {
        #[test]
        fn nothing_a_server_sends_panics(bytes: Vec<u8>, extended: bool) {
            let _ = ColumnDef::parse(&bytes, extended);
        }
    }
}
