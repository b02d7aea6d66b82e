//! libvirt's errors, figures and plain structures, and what is read from its XML.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_ulonglong, c_void};
use std::fmt;

use roxmltree::Node;

use crate::core::engine::Presence;

/// libvirt's number of an error: `virErrorNumber`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ErrorCode(pub i32);

impl ErrorCode {
    pub(super) const NO_SUPPORT: Self = Self(3);
    pub(super) const INVALID_ARG: Self = Self(8);
    pub(super) const NO_DOMAIN: Self = Self(42);
    pub(super) const AUTH_FAILED: Self = Self(45);
    pub(super) const OPERATION_INVALID: Self = Self(55);
    pub(super) const ARGUMENT_UNSUPPORTED: Self = Self(74);
    pub(super) const AUTH_CANCELLED: Self = Self(79);
    pub(super) const MIGRATE_UNSAFE: Self = Self(81);
    pub(super) const OPERATION_UNSUPPORTED: Self = Self(84);
    pub(super) const AUTH_UNAVAILABLE: Self = Self(94);
}

/// An error in libvirt's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LibvirtError {
    pub code: ErrorCode,
    pub message: String,
}

impl LibvirtError {
    /// The hypervisor's driver has no such call.
    pub(super) fn unsupported(&self) -> bool {
        [ErrorCode::NO_SUPPORT, ErrorCode::INVALID_ARG, ErrorCode::ARGUMENT_UNSUPPORTED].contains(&self.code)
    }

    /// The domain has no job: it does not run, or is only just arriving.
    pub(super) fn jobless(&self) -> bool {
        let no_job = [ErrorCode::OPERATION_INVALID, ErrorCode::OPERATION_UNSUPPORTED];
        self.absent() || self.unsupported() || no_job.contains(&self.code)
    }

    /// The domain is not there. Any other error means that this is not known.
    pub(super) fn absent(&self) -> bool {
        self.code == ErrorCode::NO_DOMAIN
    }
}

impl fmt::Display for LibvirtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.trim();
        f.write_str(if message.is_empty() { "libvirt gave no reason" } else { message })
    }
}

/// Named figures of a domain, a job or a host. They leave out negative numbers and texts, which nothing here uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Figures(HashMap<String, u64>);

impl Figures {
    /// Adds a typed parameter. Its kind is a `virTypedParameterType`, and its value a union.
    pub(super) fn put(&mut self, name: String, kind: i32, value: [u8; 8]) {
        let low = [value[0], value[1], value[2], value[3]];
        let figure = match kind {
            1 => u64::try_from(i32::from_ne_bytes(low)).ok(),
            2 => Some(u64::from(u32::from_ne_bytes(low))),
            3 => u64::try_from(i64::from_ne_bytes(value)).ok(),
            4 => Some(u64::from_ne_bytes(value)),
            5 => Some(f64::from_ne_bytes(value)).filter(|v| *v >= 0.0).map(|v| v as u64),
            6 => Some(u64::from(value[0] != 0)),
            _ => None,
        };
        if let Some(figure) = figure {
            self.0.insert(name, figure);
        }
    }

    pub(super) fn set(&mut self, name: String, figure: u64) {
        self.0.insert(name, figure);
    }

    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// A figure, or 0 if it is missing.
    pub(super) fn or_zero(&self, name: &str) -> u64 {
        self.get(name).unwrap_or_default()
    }
}

/// Any of libvirt's objects.
pub(super) type RawObject = *mut c_void;

/// The beginning of `virError`. The rest is not read.
#[repr(C)]
pub(super) struct RawError {
    pub code: c_int,
    pub domain: c_int,
    pub message: *const c_char,
}

/// A typed parameter. Its value is a union of 8 bytes.
#[repr(C)]
pub(super) struct TypedParam {
    pub field: [c_char; 80],
    pub kind: c_int,
    pub value: u64,
}

/// A figure of a host.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct NodeFigure {
    pub field: [c_char; 80],
    pub value: c_ulonglong,
}

impl NodeFigure {
    pub(super) const EMPTY: Self = Self { field: [0; 80], value: 0 };
}

/// A domain's figures.
#[repr(C)]
pub(super) struct StatsRecord {
    pub domain: RawObject,
    pub params: *const TypedParam,
    pub count: c_int,
}

/// A host's machine.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NodeInfo {
    model: [c_char; 32],
    /// KiB.
    pub memory: c_ulong,
    /// Processors that are on.
    pub cpus: c_uint,
    rest: [c_uint; 6],
}

/// A domain's size.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DomainSize {
    state: u8,
    /// KiB it may have.
    pub most_memory: c_ulong,
    /// KiB it has.
    pub memory: c_ulong,
    /// Virtual CPUs.
    pub cpus: u16,
    /// Nanoseconds of CPU time that it has had.
    pub cpu_time: c_ulonglong,
}

/// The first child element of this name.
pub(super) fn child<'a, 'input>(of: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    of.children().find(|node| node.has_tag_name(name))
}

/// The name of a parameter or a figure.
pub(super) fn name(raw: &[c_char; 80]) -> String {
    let bytes = raw.iter().map(|c| c.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The first `count` figures.
pub(super) fn named(figures: &[NodeFigure], count: c_int) -> Figures {
    let mut fields = Figures::default();
    for figure in figures.iter().take(usize::try_from(count).unwrap_or_default()) {
        fields.set(name(&figure.field), figure.value);
    }
    fields
}

/// What a `virDomainState` means. A domain that is only defined is absent. One that is paused or suspended, or that has crashed but
/// is kept, is there and stands still. A Xen domain that waits for a CPU has no state: it runs.
pub(super) fn presence(state: u64) -> Presence {
    match state {
        0..=2 => Presence::Runs,
        3 | 4 | 7 => Presence::Paused,
        _ => Presence::Absent,
    }
}

/// How libvirt identifies a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DomainIdent {
    pub uuid: String,
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_figure_is_read_from_its_part_of_the_union() {
        let mut fields = Figures::default();
        let word = |n: [u8; 4]| [n[0], n[1], n[2], n[3], 0xff, 0xff, 0xff, 0xff];
        fields.put("int".into(), 1, word(7_i32.to_ne_bytes()));
        fields.put("negative".into(), 1, word((-7_i32).to_ne_bytes()));
        fields.put("uint".into(), 2, word(u32::MAX.to_ne_bytes()));
        fields.put("long".into(), 3, 8_i64.to_ne_bytes());
        fields.put("ulong".into(), 4, u64::MAX.to_ne_bytes());
        fields.put("double".into(), 5, 2.5_f64.to_ne_bytes());
        fields.put("bool".into(), 6, [1, 0xff, 0, 0, 0, 0, 0, 0]);
        fields.put("text".into(), 7, 9_u64.to_ne_bytes());
        let got = ["int", "negative", "uint", "long", "ulong", "double", "bool", "text"].map(|name| fields.get(name));
        assert_eq!(got, [Some(7), None, Some(4_294_967_295), Some(8), Some(u64::MAX), Some(2), Some(1), None]);
    }
}
