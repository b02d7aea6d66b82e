//! Ids: positions in the [`Cluster`](super::Cluster) they belong to, never in a list on screen.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The position this id stands for.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a position.
            pub const fn at(index: usize) -> Self {
                Self(index as $inner)
            }
        }
    };
}

id!(
    /// A site of the cluster.
    SiteId(u16)
);
id!(
    /// An array of the cluster.
    ArrayId(u16)
);
id!(
    /// A host of the cluster.
    HostId(u32)
);
id!(
    /// A VM of the cluster.
    VmId(u32)
);
id!(
    /// A request, counted from 1 in the order in which they passed the gates.
    RequestId(u64)
);
