//! Words that go with a number.

/// `1 VM`, `2 VMs`.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
