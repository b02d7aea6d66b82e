//! How far a live migration is, in figures.

use serde::{Deserialize, Serialize};

use super::Span;

/// What a live migration has sent and has still to send. Bytes, and bytes a second; 0 where the driver cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Transfer {
    /// The VM's memory.
    pub total: u64,
    /// Sent so far, rounds that were sent again included.
    pub sent: u64,
    /// To be sent as things are.
    pub left: u64,
    /// Sent a second.
    pub rate: u64,
    /// Written by the VM a second.
    pub dirty: u64,
    /// Rounds so far, the present one included.
    pub rounds: u32,
    /// How long the VM would stand still if it were stopped now.
    pub downtime: Option<Span>,
}

impl Transfer {
    /// When the rest will be sent if the VM goes on writing as it does; `None` where it writes as fast as it is sent.
    pub fn eta(&self) -> Option<Span> {
        let gain = self.rate.checked_sub(self.dirty).filter(|gain| *gain > 0)?;
        let ms = u128::from(self.left) * 1_000 / u128::from(gain);
        i64::try_from(ms).ok().map(Span::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_shrinks_by_what_is_sent_less_what_is_written() {
        let transfer = Transfer { left: 90_000_000, rate: 40_000_000, dirty: 10_000_000, ..Transfer::default() };
        assert_eq!(transfer.eta(), Some(Span::from_secs(3)));
        assert_eq!(Transfer { dirty: 40_000_000, ..transfer }.eta(), None);
        assert_eq!(Transfer::default().eta(), None);
    }
}
