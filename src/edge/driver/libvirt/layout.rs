//! libvirt's plain structures as its headers lay them out.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_ulonglong, c_void};

use super::fields::Fields;

/// Any of libvirt's objects.
pub(super) type Raw = *mut c_void;

/// The beginning of an error: more follows, and is not looked at.
#[repr(C)]
pub(super) struct RawError {
    pub code: c_int,
    pub domain: c_int,
    pub message: *const c_char,
}

/// A typed parameter. Its value is a union of 8 bytes.
#[repr(C)]
pub(super) struct Param {
    pub field: [c_char; 80],
    pub kind: c_int,
    pub value: u64,
}

/// A figure of a host.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct NodeStat {
    pub field: [c_char; 80],
    pub value: c_ulonglong,
}

impl NodeStat {
    pub(super) const EMPTY: Self = Self { field: [0; 80], value: 0 };
}

/// A domain's figures.
#[repr(C)]
pub(super) struct Record {
    pub domain: Raw,
    pub params: *const Param,
    pub count: c_int,
}

/// A host's machine.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Node {
    model: [c_char; 32],
    /// KiB.
    pub memory: c_ulong,
    /// Those that are on.
    pub cpus: c_uint,
    rest: [c_uint; 6],
}

/// A domain's size.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    state: u8,
    /// KiB it may have.
    pub most_memory: c_ulong,
    /// KiB it has.
    pub memory: c_ulong,
    /// Virtual CPUs.
    pub cpus: u16,
    /// Nanoseconds of CPU time it had.
    pub cpu_time: c_ulonglong,
}

/// The name of a parameter or figure.
pub(super) fn name(raw: &[c_char; 80]) -> String {
    let bytes = raw.iter().map(|c| c.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The first so many figures.
pub(super) fn named(figures: &[NodeStat], count: c_int) -> Fields {
    let mut fields = Fields::default();
    for figure in figures.iter().take(usize::try_from(count).unwrap_or_default()) {
        fields.set(name(&figure.field), figure.value);
    }
    fields
}

/// What a domain is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ident {
    pub uuid: String,
    pub name: String,
}
