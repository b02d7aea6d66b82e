//! Named figures, as libvirt gives them: of a domain, a job, a host.

use std::collections::HashMap;

/// Named figures. Negative ones and texts are left out: nothing here has a use for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields(HashMap<String, u64>);

impl Fields {
    /// Takes in a typed parameter: its kind is one of `virTypedParameterType`, its value a union.
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

    /// A figure that is not given is 0.
    pub(super) fn or_zero(&self, name: &str) -> u64 {
        self.get(name).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_figure_is_read_from_its_part_of_the_union() {
        let mut fields = Fields::default();
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
